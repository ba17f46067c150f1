"""The grammar of yapf, which several processes may write at once.

For: yapf 0.43, by which mmengine prints configs. Its first import on a machine writes a cache of
the grammar, and a process that reads the cache meanwhile finds half of it.
"""

import time
from pickle import UnpicklingError

ATTEMPTS = 100
PAUSE = 0.1  # seconds


def import_yapf() -> None:
    """Import yapf, and wait as long as somebody else writes its grammar.

    Raises:
        EOFError: The cache stays damaged for ten seconds.
        UnpicklingError: Likewise.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            import yapf  # noqa: F401
        except (EOFError, UnpicklingError):
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)
        else:
            return
