r"""Cost of refining: objects and patches in batches, against one crop at a time.

    python tools/analysis_tools/refine_cost.py refiner --objects 40 --threads 1

MODEL is a shipped refiner or the folder of one. The picture is noise with brighter discs, the masks
are boxes around them. All batch sizes take turns in one process; pixels that differ from those of
the first batch size are counted.
"""

import time
from argparse import Namespace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from prettytable import PrettyTable

from mmdiffseg.apis.load import load
from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, time_interleaved

MODES = ('object', 'patches')


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', help='shipped refiner, or the folder of one')
    parser.add_argument('--objects', type=command_line.positive, default=40, help='(%(default)s)')
    parser.add_argument(
        '--size', type=command_line.positive, nargs=2, default=[512, 512], metavar=('H', 'W')
    )
    parser.add_argument(
        '--max-batch', type=command_line.positive, nargs='+', default=[1, 4, 16], help='crops'
    )
    parser.add_argument('--runs', type=command_line.positive, default=3, help='timed calls of each')
    parser.add_argument('--warmup', type=int, default=1, help='calls of each before that')
    parser.add_argument('--cpu-time', action='store_true', help='processor time instead of wall')
    parser.add_argument('--threads', type=command_line.positive, help='CPU threads')
    return parser.parse_args()


def scene(count: int, size: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """A picture (H, W, 3) of noise with brighter discs, and their rough ids (H, W)."""
    rng = np.random.default_rng(0)
    image = rng.normal(80, 20, (*size, 3))
    ids = np.zeros(size, dtype=np.uint16)
    y, x = np.ogrid[: size[0], : size[1]]
    for number in range(1, count + 1):
        radius = rng.uniform(0.03, 0.06) * min(size)
        top, left = rng.uniform(0, size)
        image[(y - top) ** 2 + (x - left) ** 2 < radius**2] += 90
        ids[(abs(y - top) < radius) & (abs(x - left) < radius)] = number
    return image.clip(0, 255).astype(np.uint8), ids


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.threads:
        torch.set_num_threads(args.threads)
    model = load(args.model)
    head = model.model.decode_head
    clock = time.process_time if args.cpu_time else time.perf_counter
    image, ids = scene(args.objects, tuple(args.size))
    print(', '.join(f'{key} {value}' for key, value in environment(model.device).items()))
    print(f'{len(np.unique(ids)) - 1} objects, {args.size[0]}x{args.size[1]}')
    table = PrettyTable(['mode', 'max_batch', 's', 'of one at a time', 'pixels that differ'])
    for mode in MODES:
        found = {}

        def call(max_batch: int, mode: str = mode, found: dict = found) -> None:
            head.max_batch = max_batch
            found[max_batch] = model.refine(image, ids, mode=mode).labels

        calls = {str(n): partial(call, n) for n in args.max_batch}
        seconds = time_interleaved(
            calls, runs=args.runs, warmup=args.warmup, device=model.device, clock=clock
        )
        first = args.max_batch[0]
        for n in args.max_batch:
            ratio = seconds[str(n)] / seconds[str(first)]
            differ = int((found[n] != found[first]).sum())
            table.add_row([mode, n, f'{seconds[str(n)]:.2f}', f'{ratio:.2f}', differ])
    print(table)


if __name__ == '__main__':
    command_line.run(main, parse_args)
