"""Which number of bits a model computes in, and whether the processor is made for it."""

import time

import torch

PRECISIONS = dict(fp32=None, bf16=torch.bfloat16, fp16=torch.float16)


def autocast_dtype(precision: str, device: str | torch.device) -> torch.dtype | None:
    """The type that a model computes in under autocast; None for float32.

    Args:
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto``: bf16 on a processor that has
            instructions for it, else fp32. A GPU computes in fp32 unless it is told otherwise.
        device: Where the model runs.

    Raises:
        ValueError: The precision is unknown, or the processor has no instructions for it.
    """
    device = torch.device(device)
    if precision == 'auto':
        precision = 'bf16' if device.type == 'cpu' and has_fast_bf16() else 'fp32'
    if precision == 'int8':
        raise ValueError(
            'int8 is for exported models: mmdiffseg export MODEL --precision int8 --out FOLDER'
        )
    if precision not in PRECISIONS:
        raise ValueError(
            f'precision must be one of {("auto", *PRECISIONS, "int8")}, got {precision!r}'
        )
    if device.type == 'cpu' and precision == 'bf16' and not has_fast_bf16():
        raise ValueError(
            'this processor has no bf16 instructions (avx512_bf16 or amx), without which bf16 is '
            "many times slower than fp32: choose precision='fp32' or 'int8'"
        )
    if device.type == 'cpu' and precision == 'fp16':
        raise ValueError("fp16 is for GPUs, processors do not have it: choose precision='bf16'")
    return PRECISIONS[precision]


def has_fast_bf16() -> bool:
    """Whether the processor multiplies matrices of bf16 by instructions of its own."""
    known = [
        getattr(torch.cpu, name, None)
        for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    ]
    known = [ask for ask in known if ask is not None]
    # torch does not answer for every processor, nor in every version
    return any(ask() for ask in known) if known else _bf16_is_quicker()


def _bf16_is_quicker() -> bool:
    """Multiply two matrices both ways, which takes a moment."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(256, 256, dtype=dtype)
        runs = []
        for _ in range(4):
            start = time.perf_counter()
            matrix @ matrix
            runs.append(time.perf_counter() - start)
        seconds[dtype] = min(runs)
    return seconds[torch.bfloat16] < seconds[torch.float32]
