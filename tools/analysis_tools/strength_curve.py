"""How far a chain may go from a given mask: the strength of a model, measured.

    python tools/analysis_tools/strength_curve.py MODEL --images data/shapes/images/val \
        --labels data/shapes/labels/val [--out MODEL_FOLDER]

MODEL is the folder of a model that samples, or CONFIG,CHECKPOINT. For every strength the chain
starts from the `truth`, from a `coarse` mask (what a network at 1/8 of the resolution would say),
and from the true mask of another picture (`random`), resized where the pictures differ in size; one
step (`once`) and a whole chain answer.
Where truth and random agree, the chain does not read its start, and refining is a placebo there.
The chosen strength is the one whose whole chain is best from coarse masks, among those at which
truth is ahead of random by at least --reads points in one step. Prints a table of mIoU in percent
and writes strength_curve.json; --out writes the strength into the config.json of a model folder.
"""

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from prettytable import PrettyTable

from mmdiffseg.apis.load import load_given
from mmdiffseg.apis.masks import read_mask, resize_labels
from mmdiffseg.apis.model_folder import CONFIG
from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.datasets.mask_sources import low_resolution
from mmdiffseg.engine import command_line
from mmdiffseg.output_dir import check_new_file

STARTS = ('truth', 'coarse', 'random')
IGNORE_INDEX = 255


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', help='folder of a model, or CONFIG,CHECKPOINT')
    parser.add_argument('--images', type=Path, required=True, help='folder of pictures')
    parser.add_argument('--labels', type=Path, required=True, help='folder of true labels')
    parser.add_argument(
        '--strengths',
        type=float,
        nargs='+',
        default=[0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0],
    )
    parser.add_argument('--reads', type=float, default=5.0, help='points of mIoU (%(default)s)')
    parser.add_argument(
        '--every', type=command_line.positive, default=1, help='every so many pictures'
    )
    parser.add_argument('--out', type=Path, help='model folder to write the strength into')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/strength_curve'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    args = parser.parse_args()
    if args.out and not (args.out / CONFIG).is_file():
        parser.error(f'{args.out} is not a model folder: it has no {CONFIG}')
    return args


def coarse_labels(labels: NDArray) -> NDArray:
    """Labels (H, W) as a network at 1/8 of the resolution would say them."""
    coarse = labels.copy()
    for label in np.setdiff1d(np.unique(labels), [IGNORE_INDEX]):
        coarse[low_resolution(labels == label)] = label
    return coarse


def pairs(args: Namespace) -> Iterator[tuple[NDArray, NDArray]]:
    """Pictures and their labels."""
    for source in list(find_sources(args.images))[:: args.every]:
        path = args.labels / Path(source.name).with_suffix('.png')
        yield source, read_mask(path)


def mean_iou(counts: NDArray) -> float:
    """Mean IoU in percent of a confusion matrix (K, K), over the classes that occur."""
    inter, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    return 100 * float(np.mean(inter[union > 0] / union[union > 0]))


def measure(args: Namespace) -> list[dict]:
    """MIoU of every strength, start and number of steps."""
    model = load_given(args.model)
    classes = len(model.meta['classes'])
    everything = list(pairs(args))
    if len(everything) < 2:
        raise ValueError(f'{args.images} gives one picture, and the control needs another one')
    sums: dict[tuple, NDArray] = {}
    for k, (source, labels) in enumerate(track_iter_progress(everything)):
        _, other = everything[(k + 1) % len(everything)]
        random = resize_labels(other, labels.shape)
        starts = dict(truth=labels, coarse=coarse_labels(labels), random=random)
        valid = labels != IGNORE_INDEX
        for strength in args.strengths:
            for start, mask in starts.items():
                for steps in (1, None):
                    answer = model.refine(source, mask, strength=strength, steps=steps).labels
                    rows = labels[valid].astype(int) * classes + answer[valid]
                    counts = np.bincount(rows, minlength=classes**2).reshape(classes, classes)
                    key = (strength, start, 'once' if steps else 'chain')
                    sums[key] = sums.get(key, 0) + counts
    return [
        dict(strength=strength, start=start, steps=steps, mIoU=mean_iou(counts))
        for (strength, start, steps), counts in sums.items()
    ]


def choose(records: list[dict], reads: float) -> float | None:
    """The strength that is best from coarse masks and reads its start; None if none does."""
    found = {(r['strength'], r['start'], r['steps']): r['mIoU'] for r in records}
    ahead = {
        s: found[s, 'truth', 'once'] - found[s, 'random', 'once']
        for s in {r['strength'] for r in records}
    }
    readers = sorted(s for s, gap in ahead.items() if gap >= reads)
    return max(readers, key=lambda s: found[s, 'coarse', 'chain'], default=None)


def table(records: list[dict]) -> str:
    """The records as text, a row for each strength."""
    columns = [(start, steps) for steps in ('once', 'chain') for start in STARTS]
    found = PrettyTable(['strength', *(f'{start}, {steps}' for start, steps in columns)])
    for strength in sorted({record['strength'] for record in records}):
        row = {(r['start'], r['steps']): r['mIoU'] for r in records if r['strength'] == strength}
        found.add_row([strength, *(f'{row[column]:.2f}' for column in columns)])
    return found.get_string()


def main(args: Namespace) -> None:
    """Measure, choose, print and write."""
    check_new_file(args.out_dir / 'strength_curve.json', overwrite=args.overwrite)
    records = measure(args)
    strength = choose(records, args.reads)
    print('\n' + table(records))
    print(
        f'strength: {strength}'
        if strength
        else 'No strength: the chain reads its start nowhere, so that refining is a placebo.'
    )
    args.out_dir.mkdir(parents=True, exist_ok=True)
    path = args.out_dir / 'strength_curve.json'
    path.write_text(json.dumps(dict(strength=strength, records=records), indent=1))
    print(f'Written: {path}')
    if args.out and strength:
        content = json.loads((args.out / CONFIG).read_text())
        content['meta']['strength'] = strength
        (args.out / CONFIG).write_text(json.dumps(content, indent=1))


if __name__ == '__main__':
    command_line.run(main, parse_args)
