import ctypes
import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from mmdiffseg.engine.allocator import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == 'keep' else None)
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b'1') * (64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(way, **environment):
    names = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_')}
    done = subprocess.run(
        [sys.executable, '-c', FAULTS, way],
        capture_output=True,
        text=True,
        check=True,
        env=names | environment,
    )
    said, faults = done.stdout.split()
    return said, int(faults)


@pytest.mark.skipif(
    sys.platform != 'linux' or not hasattr(ctypes.CDLL(None), 'gnu_get_libc_version'),
    reason='glibc alone has these options',
)
def test_a_block_is_taken_again_without_a_page_fault():
    _, usual = run('leave')
    said, faults = run('keep')
    assert said == 'True'
    assert usual > 100 and faults < usual / 10


def test_what_the_environment_says_goes_first():
    assert run('keep', MALLOC_ARENA_MAX='2')[0] == 'False'
