"""How the C library hands out memory."""

import ctypes
import os

# options of mallopt, from malloc.h of glibc
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory, instead of giving large blocks back to the system.

    On a CPU a network frees and takes maps of many megabytes at every layer. Blocks of this size
    come straight from the system, which clears each page again; docs/export.md has measured it. In
    return a process stays as large as it once was.

    Our commands call this. A program of your own may call it once, before it predicts.

    Returns:
        Whether it was done: not where ``MALLOC_*`` in the environment says otherwise, nor with
        another C library.

    Example:
        >>> from mmdiffseg.engine.allocator import keep_freed_memory
        >>> keep_freed_memory()
        True
    """
    if any(name.startswith('MALLOC_') for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
