"""Do samples have the frequencies of the truth, over all images together?

    python tools/analysis_tools/mode_census.py samples/categorical samples/pixelwise \
        --habits data/ambiguous_shapes/habits_val.json

Reads folders of samples as `mmdiffseg.DistributionMetric` (samples_dir) and perfect_denoiser.py
write them, a row each. Every sample counts for the nearest of the known modes, and a mode for the
habits of raters that lead to it. Without --habits each mode counts for itself, and all images need
the same modes in the same order, such as the class flips of `mmdiffseg.FlipClasses`. Prints the
frequency of every habit in percent beside the truth, the largest difference, its standard error if
draws were independent, and the share of coherent samples; writes mode_census.json and .png.
"""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image
from prettytable import PrettyTable

from mmdiffseg.datasets.files import read_json
from mmdiffseg.engine import command_line
from mmdiffseg.evaluation.distributions import label_distances
from mmdiffseg.evaluation.distributions.modes import coherence
from mmdiffseg.evaluation.distributions.sample_files import read_samples
from mmdiffseg.output_dir import check_new_file
from mmdiffseg.visualization.mode_bars import mode_bars

IGNORED = 255


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('folders', type=Path, nargs='+', help='folders of samples, a row each')
    parser.add_argument('--habits', type=Path, help='of the data set, a JSON file')
    parser.add_argument(
        '--classes', type=int, nargs='+', help='labels to compare; all but 0 by default'
    )
    parser.add_argument(
        '--num-samples', type=command_line.positive, help='only the first so many an image'
    )
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/mode_census'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    args = parser.parse_args()
    for folder in args.folders:
        if not any(folder.glob('*.npz')):
            parser.error(f'{folder} holds no *.npz: let DistributionMetric write it by samples_dir')
    return args


def habits_by_mode(maps: dict) -> list[list]:
    """A habit for each mode of an image, where nobody named them."""
    count = len(maps['raters'])
    weights = maps.get('weights', np.full(count, 1 / count))
    return [[[f'mode {i + 1}', [], float(weight)]] for i, weight in enumerate(weights)]


def census(folder: Path, habits: dict | None, classes: list[int], num_samples: int | None) -> dict:
    """Frequencies over the images of a folder.

    Args:
        folder: Holds a file for each image.
        habits: Of every image by name, the habits that lead to each mode; None for a habit each.
        classes: Labels to compare.
        num_samples: How many samples of an image count; None for all.

    Returns:
        ``truth`` and ``found``, the frequency in [0, 1] of every habit; ``coherence``, ``nearest``
        and the number of ``draws``.
    """
    truth, found, near, draws = {}, {}, [], 0
    for path in track_iter_progress(sorted(folder.glob('*.npz'))):
        maps = read_samples(path)
        if habits is not None and path.stem not in habits:
            raise ValueError(f'{path.stem} of {folder} is not among the habits: they are of others')
        of_modes = habits_by_mode(maps) if habits is None else list(habits[path.stem].values())
        if len(of_modes) != len(maps['raters']):
            raise ValueError(
                f'{path} holds {len(maps["raters"])} modes and the habits name {len(of_modes)}: '
                'they are of another data set'
            )
        valid = (maps['raters'] != IGNORED).all(axis=0)
        across = label_distances(
            maps['raters'][:, valid], maps['samples'][:num_samples, valid], classes=classes
        )
        counts = np.bincount(across.argmin(axis=0), minlength=len(across))
        for count, of_mode in zip(counts, of_modes, strict=True):
            total = sum(share for *_, share in of_mode)
            for habit, _, share in of_mode:
                truth[habit] = truth.get(habit, 0) + share * counts.sum()
                # which habit led to a mode that several lead to cannot be seen
                found[habit] = found.get(habit, 0) + count * share / total
        near.append(coherence(across))
        draws += int(counts.sum())
    return dict(
        truth={habit: float(count / draws) for habit, count in truth.items()},
        found={habit: float(found[habit] / draws) for habit in truth},
        **{key: float(np.mean([of_image[key] for of_image in near])) for key in near[0]},
        draws=draws,
    )


def main(args: Namespace) -> None:
    """Count, print and write."""
    check_new_file(args.out_dir / 'mode_census.json', overwrite=args.overwrite)
    habits = args.habits and read_json(args.habits)
    modes = [read_samples(path)['raters'] for path in sorted(args.folders[0].glob('*.npz'))]
    if habits is None and len({len(maps) for maps in modes}) > 1:
        raise ValueError(
            f'the images of {args.folders[0]} have {min(map(len, modes))} to '
            f'{max(map(len, modes))} modes: without --habits all need the same'
        )
    present = np.unique(np.concatenate([np.unique(maps) for maps in modes])).tolist()
    classes = args.classes or [label for label in present if label not in (0, IGNORED)]
    records = {
        folder.name: census(folder, habits, classes, args.num_samples) for folder in args.folders
    }
    truth = next(iter(records.values()))['truth']
    text = PrettyTable(
        ['row', *truth, 'largest difference', 's.e.', 'coherence', 'nearest', 'draws'], align='r'
    )
    text.add_row(['truth', *(f'{100 * share:.1f}' for share in truth.values()), *5 * ['']])
    for row, record in records.items():
        gaps = {habit: abs(record['found'][habit] - record['truth'][habit]) for habit in truth}
        worst = max(gaps, key=gaps.get)
        share = record['truth'][worst]
        text.add_row(
            [
                row,
                *(f'{100 * record["found"][habit]:.1f}' for habit in truth),
                f'{100 * gaps[worst]:.1f}',
                f'{100 * np.sqrt(share * (1 - share) / record["draws"]):.1f}',
                f'{record["coherence"]:.3f}',
                f'{record["nearest"]:.4f}',
                record['draws'],
            ]
        )
    print(f'\n{text}')
    args.out_dir.mkdir(parents=True, exist_ok=True)
    (args.out_dir / 'mode_census.json').write_text(json.dumps(records, indent=1))
    bars = {'truth': truth, **{row: record['found'] for row, record in records.items()}}
    Image.fromarray(mode_bars(bars)).save(args.out_dir / 'mode_census.png')
    print(f'Written: {args.out_dir}/mode_census.json and .png')


if __name__ == '__main__':
    command_line.run(main, parse_args)
