"""Run a tool or a line of Python in a fork of a warm interpreter, and say how it ended."""

import os
import runpy
import sys
import traceback
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).parents[2]
SECONDS = 60
#: imported once, before the forks
WARM = (
    'forked',
    'mmdiffseg',
    'mmseg.apis',
    'mmdet.models',
    'mmdiffseg.apis',
    'mmdiffseg.datasets.coco_instances',
    'mmdiffseg.engine.hooks',
    'diffusers',
    'transformers',
    'warm',
)


class Outcome(NamedTuple):
    """How a call ended; without an end in time the code is None."""

    code: int | None
    said: str


def server():
    """The context whose processes are forks of one interpreter that has imported everything."""
    context = get_context('forkserver')
    context.set_forkserver_preload(list(WARM))
    return context


def call(context, command: list[str], folder: Path) -> Outcome:
    """Run a command in a folder.

    It is a script of this repository, ``mmdiffseg``, or ``python`` and some code.
    """
    log = folder.with_name('said.txt')
    log.write_text('')
    process = context.Process(target=_child, args=(command, str(folder), str(log)))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return Outcome(None, log.read_text(errors='replace'))
    return Outcome(process.exitcode, log.read_text(errors='replace'))


def _child(command: list[str], folder: str, log: str) -> None:
    os.chdir(folder)
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = os.fdopen(1, 'w', closefd=False)
    sys.stderr = os.fdopen(2, 'w', closefd=False)
    code = 0
    try:
        _run(*command)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(program: str, *args: str) -> None:
    if program == 'python':
        import warm

        exec(args[0], dict(vars(warm)))
    elif program == 'mmdiffseg':
        from mmdiffseg import cli

        sys.argv = [program, *args]
        cli.main()
    else:
        script = REPO / program
        sys.argv = [str(script), *args]
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name='__main__')
