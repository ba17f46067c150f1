"""How much better masks of several sources become, beside what should not be as good.

    python tools/analysis_tools/refine_table.py MODEL --images data/dsb2018/images/val \
        --labels data/dsb2018/labels/val [--twin TWIN] [--masks fcn=predictions/fcn]

MODEL and TWIN are folders of refiners, or CONFIG,CHECKPOINT. Sources are made of the true masks,
see mmdiffseg/datasets/mask_sources.py; --masks adds those of a folder, such as another network's.
Rows: the `coarse` mask; `median`, `opened` and `guided` filters of it; the `refiner`; its network
asked `once`, at the coarsest time; the `twin`, a network trained to answer once; and with
`other picture` the refiner gets the coarse mask of another picture, resized. The source `truth`
shows how much harm is done to masks that are right: `changed` is the share of pixels. Scores are
means over the images, in percent; intervals are 95 % of a bootstrap over images of the gain over
`coarse`. Prints a table and writes refine_table.json.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from prettytable import PrettyTable

from mmdiffseg.apis.load import load_given
from mmdiffseg.apis.masks import read_mask, resize_labels
from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.datasets.mask_sources import SOURCES
from mmdiffseg.engine import command_line
from mmdiffseg.evaluation.binary_masks import iou
from mmdiffseg.evaluation.boundary_scores import boundary_accuracy, boundary_iou
from mmdiffseg.evaluation.mask_smoothing import (
    guided_filtered,
    median_filtered,
    opened_and_closed,
)
from mmdiffseg.output_dir import check_new_file

ROWS = ('coarse', 'median', 'opened', 'guided', 'refiner', 'once', 'twin', 'other picture')
SCORES = ('IoU', 'BIoU', 'mBA', 'changed')
RESAMPLES = 1000
IGNORE_INDEX = 255

Rows = dict[tuple[str, str], dict[str, list[float]]]  # source and row: scores of every image


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', help='folder of a refiner, or CONFIG,CHECKPOINT')
    parser.add_argument('--images', type=Path, required=True, help='folder of pictures')
    parser.add_argument('--labels', type=Path, required=True, help='folder of true masks')
    parser.add_argument('--label', type=int, default=1, help='value of the object (%(default)s)')
    parser.add_argument('--twin', help='another refiner, to be asked once')
    parser.add_argument(
        '--masks', nargs='+', default=[], metavar='NAME=FOLDER', help='further coarse masks'
    )
    parser.add_argument('--sources', nargs='+', choices=SOURCES, default=list(SOURCES))
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
    parser.add_argument('--mode', help="where the refiners look, instead of the config's mode")
    parser.add_argument(
        '--regions', action='store_true', help='every connected region is an object of its own'
    )
    parser.add_argument(
        '--every', type=command_line.positive, default=1, help='every so many pictures'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the intervals (%(default)s)')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/refine_table'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    args = parser.parse_args()
    if 'other picture' in args.rows and 'refiner' not in args.rows:
        parser.error('the row "other picture" needs the row "refiner"')
    if any('=' not in given for given in args.masks):
        parser.error(f'--masks takes NAME=FOLDER, got {" ".join(args.masks)}')
    return args


def methods(args: Namespace) -> dict[str, Callable[[NDArray, NDArray], NDArray]]:
    """What makes a mask (H, W), bool, of a picture and a coarse mask, by the name of its row."""
    model = load_given(args.model)

    def refined(segmenter: Segmenter, **options) -> Callable[[NDArray, NDArray], NDArray]:
        def refine(image: NDArray, mask: NDArray) -> NDArray:
            given = mask.astype(np.uint8)
            if args.regions:
                given = cv2.connectedComponents(given)[1].astype(np.uint16)
            return segmenter.refine(image, given, mode=args.mode, **options).labels > 0

        return refine

    found = {
        'coarse': lambda image, mask: mask,
        'median': lambda image, mask: median_filtered(mask),
        'opened': lambda image, mask: opened_and_closed(mask),
        'guided': lambda image, mask: guided_filtered(mask, image),
        'refiner': refined(model),
        'once': refined(model, steps=1),
    }
    if args.twin:
        found['twin'] = refined(load_given(args.twin))
    # gains are over the coarse masks
    return {row: make for row, make in found.items() if row in {'coarse', *args.rows}}


def read_labels(args: Namespace, name: str) -> NDArray:
    """True labels (H, W) of a picture."""
    return read_mask(args.labels / Path(name).with_suffix('.png'))


def coarse_masks(args: Namespace, name: str, truth: NDArray) -> Iterator[tuple[str, NDArray]]:
    """The coarse masks (H, W), bool, of one picture, by source."""
    for source in args.sources:
        yield source, SOURCES[source](truth)
    for given in args.masks:
        source, folder = given.split('=', 1)
        yield source, read_mask(Path(folder) / Path(name).with_suffix('.png')) == args.label
    yield 'truth', truth


def score(mask: NDArray, truth: NDArray, coarse: NDArray, valid: NDArray) -> dict[str, float]:
    """Scores of a mask, in percent."""
    found = dict(
        IoU=iou(mask & valid, truth, empty=1.0),
        BIoU=boundary_iou(mask, truth, valid=valid),
        mBA=boundary_accuracy(mask.astype(int), truth.astype(int), valid=valid),
        changed=float((mask != coarse)[valid].mean()),
    )
    return {key: 100 * value for key, value in found.items() if value is not None}


def score_all(args: Namespace) -> Rows:
    """Score every row of every source on every picture."""
    rows: Rows = {}
    ways = methods(args)
    pictures = list(find_sources(args.images))[:: args.every]
    control = 'other picture' in args.rows
    if control and len(pictures) < 2:
        raise ValueError(f'{args.images} gives one picture: leave the row "other picture" out')
    for k, source_file in enumerate(track_iter_progress(pictures)):
        picture = source_file.read()
        labels = read_labels(args, picture.name)
        truth, valid = labels == args.label, labels != IGNORE_INDEX
        others = {}
        if control:
            other = pictures[k - 1].name
            others = dict(coarse_masks(args, other, read_labels(args, other) == args.label))
        for source, coarse in coarse_masks(args, picture.name, truth):
            answers = {row: make(picture.pixels, coarse) for row, make in ways.items()}
            if source != 'truth' and control:
                other = resize_labels(others[source], coarse.shape)
                answers['other picture'] = ways['refiner'](picture.pixels, other)
            for row, mask in answers.items():
                of_row = rows.setdefault((source, row), {})
                for key, value in score(mask, truth, coarse, valid).items():
                    of_row.setdefault(key, []).append(value)
    return rows


def summarise(rows: Rows, seed: int) -> list[dict]:
    """Means, and intervals of the gains over the coarse masks."""
    records = []
    for (source, row), scores in rows.items():
        record = dict(source=source, row=row, images=len(scores['IoU']))
        for key, values in scores.items():
            record[key] = float(np.mean(values))
            start = rows[source, 'coarse'].get(key, [])
            if key != 'changed' and row != 'coarse' and len(start) == len(values):
                gains = np.subtract(values, start)
                picked = np.random.default_rng(seed).integers(
                    len(gains), size=(RESAMPLES, len(gains))
                )
                ends = np.percentile(gains[picked].mean(axis=1), (2.5, 97.5))
                record[f'{key}_gain'] = [float(gains.mean()), *map(float, ends)]
        records.append(record)
    return records


def table(records: list[dict]) -> str:
    """The records as text."""
    found = PrettyTable(['source', 'row', 'images', *SCORES])
    for record in records:
        cells = []
        for key in SCORES:
            cell = f'{record[key]:.2f}' if key in record else ''
            if f'{key}_gain' in record:
                gain, low, high = record[f'{key}_gain']
                cell += f' ({gain:+.2f}, {low:+.2f} to {high:+.2f})'
            cells.append(cell)
        found.add_row([record['source'], record['row'], record['images'], *cells])
    found.align = 'l'
    return found.get_string()


def main(args: Namespace) -> None:
    """Score, print and write."""
    check_new_file(args.out_dir / 'refine_table.json', overwrite=args.overwrite)
    records = summarise(score_all(args), args.seed)
    print('\n' + table(records))
    args.out_dir.mkdir(parents=True, exist_ok=True)
    path = args.out_dir / 'refine_table.json'
    path.write_text(json.dumps(records, indent=1))
    print(f'Written: {path}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
