"""Kill small trainings, let them go on with --resume, and compare the weights at the end.

    python kill_trainings.py CONFIG FOLDER [--processes 2] [--random 5] [POINT:NAME:TIME ...]

Prints one line of JSON for each kill. All trainings are forks of this process, which has imported
what takes long. FOLDER gets a work dir for each of them and one of a training that nobody kills.
"""

import argparse
import json
import os
import random
import runpy
import signal
import socket
import sys
import time
from importlib import import_module
from pathlib import Path

import torch

TRAIN = Path(__file__).parents[2] / 'tools/train.py'
HEAVY = ['mmdiffseg', 'mmseg.models', 'mmdet.models', 'mmdiffseg.models', 'mmdiffseg.engine.hooks']


def start(config, work_dir, *options, processes=1, **environ):
    """Fork a training; returns the ids of its processes."""
    work_dir.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(('', 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            log = os.open(work_dir / f'log_{rank}.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ.update(environ)
            sys.argv = ['train.py', config, '--work-dir', str(work_dir), *options]
            if processes > 1:
                sys.argv += ['--launcher', 'pytorch']
                os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
                os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
            code = 1
            try:
                runpy.run_path(str(TRAIN), run_name='__main__')
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(child)
    return children


def wait(children):
    """The exit codes of a training's processes; if one fails, the others are killed."""
    codes = {}
    while len(codes) < len(children):
        child, status = os.waitpid(-1, 0)
        codes[child] = os.waitstatus_to_exitcode(status)
        if codes[child]:
            for other in set(children) - codes.keys():
                os.kill(other, signal.SIGKILL)
    return [codes[child] for child in children]


def final_state(work_dir):
    state = torch.load(work_dir / 'iter_6.pth', weights_only=False)
    return {key: state[key] for key in ('state_dict', 'optimizer', 'param_schedulers')}


def equal(a, b):
    """Bit by bit."""
    if torch.is_tensor(a):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def kill(point, config, work_dir, *, seconds, processes):
    """Stop a training inside a save, or somewhere (`random`) in the seconds that it takes."""
    if not point.startswith('random'):
        return wait(start(config, work_dir, processes=processes, STOP_AT=point))
    children = start(config, work_dir, processes=processes)
    time.sleep(random.uniform(0.2, 0.95) * seconds)
    for child in children:
        os.kill(child, signal.SIGKILL)
    return wait(children)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('folder', type=Path)
    parser.add_argument('points', nargs='*')
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--random', type=int, default=0)
    args = parser.parse_intermixed_args()
    random.seed(0)
    for module in HEAVY:
        import_module(module)
    common = dict(processes=args.processes)
    begin = time.monotonic()
    assert not any(wait(start(args.config, args.folder / 'whole', **common)))
    seconds = time.monotonic() - begin
    expected = final_state(args.folder / 'whole')
    for point in [*args.points, *(f'random {number}' for number in range(args.random))]:
        begin = time.monotonic()
        work_dir = args.folder / point.replace(':', '_').replace(' ', '_')
        killed = kill(point, args.config, work_dir, seconds=seconds, **common)
        left = sorted(path.name for path in work_dir.glob('*.pth*'))
        resumed = wait(start(args.config, work_dir, '--resume', **common))
        record = dict(
            point=point,
            killed=killed[0] == -signal.SIGKILL,
            left=left,
            resumed=not any(resumed),
            equal=not any(resumed) and equal(final_state(work_dir), expected),
            kept=sorted(path.name for path in work_dir.glob('*.pth*')),
            seconds=round(time.monotonic() - begin, 1),
        )
        print(json.dumps(record), flush=True)


if __name__ == '__main__':
    main()
