"""Refusal of sizes that cannot fit memory, before the machine is brought down by them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch

#: set to 1 in the environment, it lets any size through
OVERRIDE = 'MMDIFFSEG_ANY_SIZE'
#: bytes of a number in float32
FLOAT = 4
#: not worth a look at how much is free
SMALL = 2**30


def check_memory(needed: int, device: torch.device, *, what: str, fix: str) -> None:
    """Refuse what needs more memory than there is.

    Args:
        needed: Bytes that the largest tensors take together, rather too few than too many.
        device: Where they will lie.
        what: What needs them and of which size, such as ``'a map of 150 classes and 4000x3000'``.
        fix: What to do instead.

    Raises:
        ValueError: They do not fit. The environment variable ``MMDIFFSEG_ANY_SIZE=1`` lets them be
            tried.
    """
    if needed < SMALL or os.environ.get(OVERRIDE) == '1':
        return
    free = free_memory(device)
    if free is not None and needed > free:
        raise ValueError(
            f'{what} needs at least {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB '
            f'are free on {device}: {fix} (or set {OVERRIDE}=1 to try)'
        )


def check_chain(
    rows: int,
    shape: Sequence[int],
    metas: Sequence[dict],
    *,
    classes: int,
    device: torch.device,
) -> None:
    """Refuse a chain that memory cannot hold; see :func:`check_memory`.

    Args:
        rows: Maps that are denoised at once.
        shape: Their shape (C, h, w).
        metas: Meta information of the images.
        classes: Channels K of the result, which has the size of the images.
        device: Where the maps live.
    """
    if torch.compiler.is_compiling():  # sizes that are no numbers
        return
    height, width = metas[0].get('img_shape', shape[1:])[:2]
    maps = 2 * rows * math.prod(shape)  # noise, and the estimate of x0
    check_memory(
        FLOAT * (maps + len(metas) * classes * height * width),
        device,
        what=f'denoising {rows} maps of {" x ".join(map(str, shape))} for images of '
        f'{width}x{height}',
        fix="resize the images, use windows (test_cfg.mode='slide') or lower max_batch",
    )


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None if the system does not tell."""
    if device.type == 'cuda':
        free, _ = torch.cuda.mem_get_info(device)
        # what torch holds without using it
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    table = Path('/proc/meminfo')
    if device.type != 'cpu' or not table.exists():
        return None
    sizes = dict(line.split(':') for line in table.read_text().splitlines())
    free = sum(int(sizes[name].split()[0]) * 1024 for name in ('MemAvailable', 'SwapFree'))
    limit = Path('/sys/fs/cgroup/memory.max')  # of a container
    if limit.exists() and (text := limit.read_text().strip()) != 'max':
        free = min(free, int(text))
    return free
