"""Plot losses and metrics of one training run or more.

    python tools/analysis_tools/analyze_logs.py work_dirs/a/DATE/vis_data/scalars.json --out a.png

A resumed run logs some iterations twice; the later value stands.
"""

import json
from argparse import Namespace
from pathlib import Path

from mmdiffseg.engine import command_line
from mmdiffseg.output_dir import check_new_file


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('json_logs', nargs='+', type=Path, help='scalars.json of each run')
    parser.add_argument('--keys', nargs='+', default=['mIoU'], help='what to plot')
    parser.add_argument('--title')
    parser.add_argument('--legend', nargs='+', help='one name per run and key')
    parser.add_argument('--out', type=Path, help='picture to write, instead of a window')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier --out')
    return parser.parse_args()


def read_curve(path: Path, key: str) -> tuple[list[int], list[float]]:
    """Steps and values of one key.

    Raises:
        ValueError: If the log is damaged or never mentions the key.
    """
    values, known = {}, set()
    try:
        records = [dict(json.loads(line)) for line in path.read_text().splitlines()]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} is damaged or not a log: {error}') from error
    for record in records:
        known |= record.keys()
        if key in record:
            values[record['step']] = record[key]
    if not values:
        raise ValueError(f'{path} has no {key!r}, it has {", ".join(sorted(known))}')
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def main(args: Namespace) -> None:
    """Plot."""
    curves = [(path, key) for path in args.json_logs for key in args.keys]
    names = args.legend or [f'{path.parent.parent.name} {key}' for path, key in curves]
    if len(names) != len(curves):
        raise ValueError(f'--legend needs {len(curves)} names, one per run and key, got {names}')
    if args.out:
        check_new_file(args.out, overwrite=args.overwrite)
    else:
        command_line.need_display('write the picture to a file with --out')

    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(layout='constrained')
    for (path, key), name in zip(curves, names, strict=True):
        steps, values = read_curve(path, key)
        axes.plot(steps, values, label=name, marker='o' if len(steps) < 50 else None)
    axes.set(xlabel='iteration', title=args.title)
    axes.grid(alpha=0.3)
    axes.legend()
    if args.out:
        try:
            figure.savefig(args.out, dpi=150)
        except ValueError as error:
            raise ValueError(f'--out {args.out} cannot be written: {error}') from error
        print(f'Written: {args.out}')
    else:
        plt.show()


if __name__ == '__main__':
    command_line.run(main, parse_args)
