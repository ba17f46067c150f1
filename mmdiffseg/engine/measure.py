"""Time and memory of functions, compared fairly: interleaved runs in one process."""

import ctypes
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import mmcv
import mmengine
import mmseg
import torch

from mmdiffseg.version import __version__


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    *,
    runs: int,
    warmup: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each function.

    The functions take turns, so that whatever else the machine does meanwhile meets all of them.

    Args:
        functions: What to time, by name.
        runs: Timed calls of each.
        warmup: Calls of each before that.
        device: Where they compute; a GPU is waited for.
        clock: Tells the seconds; ``time.process_time`` counts those that the process computes, on
            all its threads, which suits a CPU that others use too.
    """
    seconds = {name: [] for name in functions}
    for run in range(warmup + runs):
        for name, function in functions.items():
            _wait(device)
            start = clock()
            function()
            _wait(device)
            if run >= warmup:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(function: Callable[[], object], device: torch.device) -> float | None:
    """Most MiB in use at once during a call, beyond what was in use before it.

    On a GPU, what torch's allocator handed out. On a CPU, the resident memory of the process, which
    only Linux with glibc tells (None elsewhere), and which the C heap blurs by tens of MiB.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if platform.libc_ver()[0] != 'glibc':
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed goes back to the system
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak, see proc(5)
    before = _resident('VmRSS')
    function()
    return _resident('VmHWM') - before


def environment(device: torch.device) -> dict[str, str]:
    """Hardware and versions that a measurement holds for."""
    return {
        'device': _device_name(device),
        'threads': str(torch.get_num_threads()),
        'torch': torch.__version__,
        'cuda': torch.version.cuda or 'none',
        'python': platform.python_version(),
        'mmengine': mmengine.__version__,
        'mmcv': mmcv.__version__,
        'mmseg': mmseg.__version__,
        'mmdiffseg': __version__,
    }


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def _resident(field: str) -> float:
    """MiB that Linux reports for this process under ``field``."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def _device_name(device: torch.device) -> str:
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()
