r"""Ways to run one model side by side: time, labels that change, and a metric if masks are given.

    python tools/analysis_tools/export_cost.py configs/stochastic/categorical_dsb2018.py \
        --checkpoint CHECKPOINT --pictures data/dsb2018/val/images --masks data/dsb2018/val/labels \
        --ways eager bf16 onnx int8

`eager` is torch in fp32, `bf16` torch under autocast, `compile` torch.compile; `onnx`, `openvino`
and `torch` are exported, `int8` is exported to onnx and scaled by other pictures (--calibration).
Pictures are cut to odd sizes, a different one each, unless --size says otherwise. Without
--pictures they are cut out of the photographs that come with scikit-image. All ways take turns in
one process and get the same noise; every figure is also given as a multiple of the first way's.
`logit_difference` is the largest one after the first denoiser call of a picture, over the largest
logit there: later calls start from what was drawn before, where rounding may tip a draw. `cpu`
counts the seconds that the process computes on all its threads, for a processor that
others use too; `wall` is the shortest time of a run.
"""

import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from prettytable import PrettyTable

from mmdiffseg.apis.load import load
from mmdiffseg.apis.pictures import Picture, Source, find_sources
from mmdiffseg.apis.result import Result
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.engine import command_line
from mmdiffseg.engine.compiling import compile_parts
from mmdiffseg.engine.measure import environment
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.dformer import DFormerHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.output_dir import check_new_file
from mmdiffseg.runtime import load as load_exported
from mmdiffseg.runtime.folder import LOOP_FILE
from mmdiffseg.runtime.segmenter import ExportedSegmenter

Call = Segmenter | ExportedSegmenter
#: of scikit-image, in its distribution
PHOTOGRAPHS = ('astronaut', 'chelsea', 'coffee', 'immunohistochemistry', 'rocket', 'cell', 'coins')
WAYS = ('eager', 'bf16', 'compile', 'onnx', 'int8', 'openvino', 'torch')


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', help='shipped model, model folder, or config (.py)')
    parser.add_argument('--checkpoint', help='weights of a config')
    parser.add_argument('--pictures', help='folder of pictures')
    parser.add_argument('--masks', type=Path, help='folder of label maps, named as the pictures')
    parser.add_argument('--calibration', help='folder of other pictures, for int8')
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=['eager', 'onnx'])
    parser.add_argument('--count', type=command_line.positive, default=20, help='pictures')
    parser.add_argument(
        '--size', type=command_line.positive, nargs=2, metavar=('H', 'W'), help='cut all to this'
    )
    parser.add_argument(
        '--fixed', type=command_line.positive, nargs=2, metavar=('H', 'W'), help='export for this'
    )
    parser.add_argument('--steps', type=command_line.positive, help="instead of the model's")
    parser.add_argument('--generations', type=command_line.positive, help="instead of the model's")
    parser.add_argument(
        '--threads', type=command_line.positive, nargs='+', default=[1], help='one run for each'
    )
    parser.add_argument('--weights', choices=['fp32', 'fp16'], default='fp32', help='of onnx')
    parser.add_argument(
        '--exports', type=Path, help='keep the exports there, and take those of an earlier run'
    )
    parser.add_argument('--out', type=Path, help='write the figures there, as JSON')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier --out')
    return parser.parse_args()


def find_pictures(args: Namespace) -> Iterator[Picture]:
    """The pictures, cut to size."""
    if args.pictures is None:
        yield from photographs(args.count, args.size)
        return
    for number, source in enumerate(islice(find_sources(args.pictures), args.count)):
        yield cut(source.read(), number, args.size)


def photographs(count: int, size: tuple[int, int] | None) -> Iterator[Picture]:
    """Parts of the photographs that come with scikit-image, of odd sizes."""
    from skimage import data

    for number in range(count):
        name = PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
        pixels = np.asarray(Image.fromarray(getattr(data, name)()).convert('RGB'))
        height, width = size or (129 + 6 * number % 58, 131 + 10 * number % 62)
        top = left = 2 * number
        part = pixels[top : top + height, left : left + width]
        yield Picture(pixels=part.copy(), name=f'{name}_{number}.png')


def cut(picture: Picture, number: int, size: tuple[int, int] | None) -> Picture:
    """The upper left part of a picture: of the given size, or of an odd one."""
    height, width = picture.pixels.shape[:2]
    if size is None:
        height, width = height - 2 * number - 1 | 1, width - 4 * number - 3 | 1
    else:
        height, width = size
    return Picture(pixels=picture.pixels[:height, :width].copy(), name=picture.name)


def make_ways(args: Namespace, folder: Path) -> dict[str, Callable[[int], Call]]:
    """What makes a model that runs in a number of threads, by name."""

    def read(precision: str = 'fp32') -> Segmenter:
        config = dict(config=args.model, checkpoint=args.checkpoint)
        known = config if args.model.endswith('.py') else dict(source=args.model)
        return load(**known, device='cpu', precision=precision)

    def exported(way: str) -> Path:
        options = dict(format='onnx' if way == 'int8' else way)
        if way == 'int8':
            options.update(precision='int8', calibration=args.calibration)
        if way == 'onnx':
            options.update(weights=args.weights)
        if args.fixed:
            options['size'] = tuple(args.fixed)
        if (folder / way / LOOP_FILE).is_file():
            return folder / way
        return read().export(folder / way, **options)

    ways = {}
    for way in args.ways:
        if way in ('eager', 'bf16', 'compile'):
            segmenter = read('bf16' if way == 'bf16' else 'fp32')
            if way == 'compile':
                compile_parts(segmenter.model)
            ways[way] = lambda threads, model=segmenter: model
        else:
            path = exported(way)
            ways[way] = lambda threads, path=path: load_exported(path, threads=threads)
    return ways


class Logits:
    """Keeps what a model says after the first denoiser call of every picture.

    Args:
        call: The model, in torch or exported.
    """

    def __init__(self, call: Call) -> None:
        self.found: NDArray | None = None
        if isinstance(call, Segmenter):
            head = model_head(call.model)
            if isinstance(head, DFormerHead):
                head.denoise = self.watch(head.denoise, lambda said: said.masks.numpy())
            elif isinstance(head, DiffusionHead):
                head.predict_step = self.watch(head.predict_step, lambda said: said[0].numpy())
        elif 'step' in call.graphs:
            step = call.graphs['step']
            call.graphs['step'] = self.watch(
                step, lambda said: said.get('masks', said.get('output'))
            )

    def watch(self, function: Callable, read: Callable) -> Callable:
        """Look at the answers of a function."""

        def watched(*args: Any) -> Any:
            said = function(*args)
            if self.found is None:
                self.found = read(said)
            return said

        return watched


def measure(
    ways: dict[str, Callable[[int], Call]], args: Namespace, threads: int
) -> dict[str, list[dict]]:
    """Results and times of all ways, picture by picture."""
    settings = dict(steps=args.steps, generations=args.generations)
    torch.set_num_threads(threads)
    calls = {way: make(threads) for way, make in ways.items()}
    logits = {way: Logits(call) for way, call in calls.items()}
    found = {way: [] for way in ways}
    pictures = list(find_pictures(args))
    # the first one only warms up
    for number, picture in enumerate([pictures[0], *pictures]):
        one = Source(name=picture.name, path=None, read_pixels=lambda p=picture: p.pixels)
        for way, call in calls.items():
            logits[way].found = None
            start = time.process_time(), time.perf_counter()
            (result,) = call([one], **settings)
            seconds = time.process_time() - start[0], time.perf_counter() - start[1]
            if number:
                known = dict(result=result, logits=logits[way].found)
                found[way].append(dict(known, cpu=seconds[0], wall=seconds[1]))
    return found


def row(way: str, runs: list[dict], first: list[dict], masks: list[NDArray] | None) -> dict:
    """One line of the table."""
    results, expected = ([run['result'] for run in part] for part in (runs, first))

    def share(of: str) -> float:
        same = [
            (getattr(a, of) == getattr(b, of)).mean()
            for a, b in zip(results, expected, strict=True)
        ]
        return 100 * float(np.mean(same))

    def largest(of: str) -> float:
        return max(
            float(np.abs(getattr(a, of) - getattr(b, of)).max())
            for a, b in zip(results, expected, strict=True)
        )

    def total(clock: str, part: list[dict]) -> float:
        return float(np.sum([run[clock] for run in part]))

    line = dict(
        way=way,
        cpu=total('cpu', runs) / len(runs),
        of_first=total('cpu', runs) / total('cpu', first),
        wall_of_first=total('wall', runs) / total('wall', first),
    )
    if runs[0]['logits'] is not None:
        line['logit_difference'] = max(
            float(np.abs(a['logits'] - b['logits']).max() / np.abs(b['logits']).max())
            for a, b in zip(runs, first, strict=True)
        )
    if results[0].labels is not None:
        line['same_labels'] = share('labels')
    if results[0].samples is not None:
        line['same_samples'] = share('samples')
    for name in ('probability', 'depth'):
        if getattr(results[0], name) is not None:
            line[f'largest_{name}_difference'] = largest(name)
    if masks is not None:
        line['miou'] = mean_iou(results, masks)
    return line


def mean_iou(results: list[Result], masks: list[NDArray]) -> float:
    """Mean over the classes of the intersection over the union, of all pictures together."""
    classes = len(results[0].classes)
    overlap, union = np.zeros(classes), np.zeros(classes)
    for result, mask in zip(results, masks, strict=True):
        for label in range(classes):
            found, true = (result.labels == label) & (mask < classes), mask == label
            overlap[label] += (found & true).sum()
            union[label] += (found | true).sum()
    return 100 * float(np.mean(overlap[union > 0] / union[union > 0]))


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.out:
        check_new_file(args.out, overwrite=args.overwrite)
    known = environment(torch.device('cpu'))
    print(', '.join(f'{name} {value}' for name, value in known.items()))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ways = make_ways(args, args.exports or Path(folder))
        for threads in args.threads:
            rows += (part := tabulate(measure(ways, args, threads), args, threads))
            print_table(part)
    if args.out:
        text = json.dumps(dict(environment=known, arguments=vars(args), rows=rows), default=str)
        args.out.write_text(text)


def tabulate(found: dict[str, list[dict]], args: Namespace, threads: int) -> list[dict]:
    """The lines of a table."""
    first = found[args.ways[0]]
    masks = None
    if args.masks:
        masks = []
        for run in first:
            result = run['result']
            mask = np.asarray(Image.open(args.masks / Path(result.name).with_suffix('.png')))
            masks.append(mask[: result.labels.shape[0], : result.labels.shape[1]])
    lines = [row(way, runs, first, masks) for way, runs in found.items()]
    return [dict(threads=threads, pictures=len(first), **line) for line in lines]


def print_table(rows: list[dict]) -> None:
    """Print the lines."""
    table = PrettyTable(list(rows[0]), align='r')
    for line in rows:
        table.add_row([f'{v:.4g}' if isinstance(v, float) else v for v in line.values()])
    print(table, flush=True)


if __name__ == '__main__':
    command_line.run(main, parse_args)
