"""What more samples, more steps or another method are worth against several raters.

    python tools/test.py CONFIG CHECKPOINT --cfg-options test_evaluator.samples_dir=samples/steps_4
    python tools/analysis_tools/samples_vs_quality.py samples/steps_4 samples/steps_16 \
        --num-samples 1 2 4 8 16

Reads the folders that `mmdiffseg.DistributionMetric` writes, one a row, and scores the first n
samples of each image. Beside them, what scores mean: `raters` are draws from the raters themselves,
the floor; `arg-max` is their likeliest class of every pixel, over and over; `noise` draws every
pixel by itself with the raters' frequencies. Intervals are 95 % of a bootstrap over images.
`--against FOLDER` adds what the other folders gain on it, image by image. Prints a table and writes
samples_vs_quality.json and .png.
"""

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable

from mmdiffseg.engine import command_line
from mmdiffseg.evaluation.distributions import image_scores
from mmdiffseg.evaluation.distributions.sample_files import read_samples
from mmdiffseg.output_dir import check_new_file

SCORES = ('GED', 'GED_unbiased', 'HM_IoU', 'coherence', 'nearest', 'diversity', 'area_CRPS', 'TV')
PLOTTED = ('GED', 'HM_IoU', 'coherence', 'diversity')
CONTROLS = ('raters', 'arg-max', 'noise')
IGNORE_INDEX = 255
RESAMPLES = 1000

Scores = dict[str, dict[int, dict[str, list[float]]]]  # row, number of samples, score: every image


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('folders', type=Path, nargs='+', help='folders of samples, a row each')
    parser.add_argument(
        '--num-samples', type=command_line.positive, nargs='+', default=[1, 2, 4, 8, 16]
    )
    parser.add_argument(
        '--classes', type=int, nargs='+', help='labels to compare (all there are but 0)'
    )
    parser.add_argument(
        '--empty',
        choices=('agrees', 'left_out'),
        default='agrees',
        help='a class that neither map has (%(default)s)',
    )
    parser.add_argument('--against', type=Path, help='one of the folders, to subtract')
    parser.add_argument('--images', type=command_line.positive, help='only the first so many')
    parser.add_argument('--seed', type=int, default=0, help='of controls, intervals (%(default)s)')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/samples_vs_quality'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    args = parser.parse_args()
    names = [folder.name for folder in args.folders]
    if len({*names, *CONTROLS}) < len(names) + len(CONTROLS):
        parser.error(
            f'rows are called by their folders, so these must differ from each other and from '
            f'{", ".join(CONTROLS)}: {", ".join(names)}'
        )
    if args.against and (args.against not in args.folders or len(names) == 1):
        parser.error(f'--against {args.against} takes one of the folders, and a second to compare')
    for folder in args.folders:
        if not any(folder.glob('*.npz')):
            parser.error(f'{folder} holds no *.npz: let DistributionMetric write it by samples_dir')
    return args


def controls(
    raters: np.ndarray, weights: np.ndarray | None, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Samples (count, N) of each control, from raters (R, N)."""
    drawn = rng.choice(len(raters), size=(count, *raters.shape), p=weights)  # a rater a pixel
    yield 'raters', raters[drawn[:, 0, 0]]
    labels = np.unique(raters)
    votes = [np.average(raters == label, axis=0, weights=weights) for label in labels]
    yield 'arg-max', np.repeat(labels[np.argmax(votes, axis=0)][None], count, axis=0)
    yield 'noise', np.take_along_axis(raters, drawn[:, 0], axis=0)


def score_folders(args: Namespace) -> Scores:
    """Score all images of all folders and the controls."""
    names = sorted(path.name for path in args.folders[0].glob('*.npz'))[: args.images]
    classes = args.classes or _all_classes([args.folders[0] / name for name in names])
    counts, most = sorted(set(args.num_samples)), max(args.num_samples)
    scores = {}
    for index, name in enumerate(track_iter_progress(names)):
        rows = {}
        for folder in args.folders:
            maps = read_samples(folder / name)
            if len(maps['samples']) < most:
                raise ValueError(
                    f'{folder / name} holds {len(maps["samples"])} samples, not {most}'
                )
            valid = (maps['raters'] != IGNORE_INDEX).all(axis=0)
            rows[folder.name] = maps['samples'][:, valid]
        if not valid.any():
            continue
        raters, weights = maps['raters'][:, valid], maps.get('weights')
        rng = np.random.default_rng([args.seed, index])
        rows |= controls(raters, weights, most, rng)
        options = dict(classes=classes, weights=weights, empty=args.empty)
        for row, samples in rows.items():
            for count in counts:
                of_image = image_scores(raters, samples[:count], **options)
                of_row = scores.setdefault(row, {}).setdefault(count, {})
                for score in SCORES:
                    if score in of_image:
                        of_row.setdefault(score, []).append(of_image[score])
    if not scores:
        raise ValueError(f'all pixels of all {len(names)} images are ignored')
    return scores


def differences(scores: Scores, against: str) -> Scores:
    """The scores of every other folder less those of one, on the same images."""
    return {
        f'{row} - {against}': {
            count: {
                score: np.subtract(values, scores[against][count][score]).tolist()
                for score, values in of_count.items()
            }
            for count, of_count in of_row.items()
        }
        for row, of_row in scores.items()
        if row not in (against, *CONTROLS)
    }


def _all_classes(paths: list[Path]) -> list[int]:
    present = set()
    for path in paths:
        present.update(np.unique(read_samples(path)['raters']).tolist())
    classes = sorted(present - {0, IGNORE_INDEX})
    if not classes:
        raise ValueError('no rater labelled anything but 0: name the classes by --classes')
    return classes


def interval(values: list[float], seed: int) -> tuple[float, float]:
    """Where 95 % of the means of resampled images lie."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.asarray(values)[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarise(scores: Scores, seed: int) -> list[dict]:
    """A record for each row and number of samples: mean, low and high of every score."""
    records = []
    for row, of_row in scores.items():
        for count, of_count in of_row.items():
            means = {
                score: dict(
                    zip(
                        ('mean', 'low', 'high'),
                        (float(np.mean(values)), *interval(values, seed)),
                        strict=True,
                    )
                )
                for score, values in of_count.items()
                if np.isfinite(values).all()  # undefined for one sample
            }
            records.append(dict(row=row, num_samples=count, images=len(of_count['GED']), **means))
    return records


def table(records: list[dict]) -> str:
    """The records as text."""
    shown = [score for score in SCORES if any(score in record for record in records)]
    text = PrettyTable(['row', 'n', *shown], align='r')
    for record in records:
        cells = [
            '{mean:.4f} ({low:.4f} to {high:.4f})'.format(**record[score])
            if score in record
            else '-'
            for score in shown
        ]
        text.add_row([record['row'], record['num_samples'], *cells])
    return text.get_string()


def plot(records: list[dict], path: Path) -> None:
    """Draw the main scores over the number of samples; controls are dashed."""
    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(16, 4), layout='constrained')
    for axis, score in zip(axes, PLOTTED, strict=True):
        for row in dict.fromkeys(record['row'] for record in records):
            curve = [record for record in records if record['row'] == row]
            counts = [record['num_samples'] for record in curve]
            means, low, high = (
                [record[score][part] for record in curve] for part in ('mean', 'low', 'high')
            )
            style = '--' if row in CONTROLS else 'o-'
            (line,) = axis.plot(counts, means, style, label=row)
            axis.fill_between(counts, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        axis.set(xlabel='samples', title=score, xscale='log')
        axis.set_xticks(counts, counts)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(args: Namespace) -> None:
    """Score, print and write."""
    check_new_file(args.out_dir / 'samples_vs_quality.json', overwrite=args.overwrite)
    scores = score_folders(args)
    records = summarise(scores, args.seed)
    gains = summarise(differences(scores, args.against.name), args.seed) if args.against else []
    print('\n' + table([*records, *gains]))
    args.out_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps([*records, *gains], indent=1)
    (args.out_dir / 'samples_vs_quality.json').write_text(text)
    plot(records, args.out_dir / 'samples_vs_quality.png')
    print(f'Written: {args.out_dir}/samples_vs_quality.json and .png')


if __name__ == '__main__':
    command_line.run(main, parse_args)
