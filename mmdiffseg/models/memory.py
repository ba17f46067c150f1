"""Refusal of sizes that cannot fit memory, before the machine is brought down by them."""

import os
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
