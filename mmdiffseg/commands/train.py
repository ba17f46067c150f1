"""Train a model on a folder of pictures and a folder of masks.

mmdiffseg train --images photos --masks masks --out first --minutes 10

Masks are PNGs of one channel, called like their pictures. Folders rater1, rater2, ... of masks are
those of several raters. The data are checked first; what is odd is told, and what cannot be trained
on is refused. The folder `first/model` is what `mmdiffseg predict` takes then.
"""

import argparse
import contextlib
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('--images', required=True, metavar='DIR', help='folder of pictures')
    parser.add_argument(
        '--masks',
        required=True,
        nargs='+',
        metavar='DIR',
        help='folder of masks; several are those of several raters',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the results')
    parser.add_argument('--method', help='stochastic (default), segdiff or ddp')
    parser.add_argument('--base', metavar='MODEL', help='model to go on from: name, folder, hub id')
    parser.add_argument('--minutes', type=float, help='all that may be taken')
    parser.add_argument('--iterations', type=int, help='of training, if the minutes allow')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='background first')
    parser.add_argument(
        '--foreground',
        type=_foreground,
        metavar='VALUE',
        help="value of the object in masks of one class, or 'nonzero'",
    )
    parser.add_argument('--val', type=float, default=0.2, help='share to validate on')
    parser.add_argument('--resume', action='store_true', help='go on with the training in --out')
    parser.add_argument('--overwrite', action='store_true', help='take a folder with other files')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', action='store_true', help='print the report as JSON')


def run(args: argparse.Namespace) -> None:
    """Train; with ``--json``, what is told meanwhile goes to stderr."""
    from mmdiffseg.apis.folder.pairs import pair_files

    masks = args.masks if len(args.masks) > 1 else args.masks[0]
    pair_files(args.images, masks)  # wrong folders are told at once, before torch is imported

    from mmdiffseg.apis.train_on_folder import train

    with contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext():
        report = train(
            args.images,
            masks=masks,
            out=args.out,
            method=args.method,
            base=args.base,
            minutes=args.minutes,
            iterations=args.iterations,
            classes=args.classes,
            foreground=args.foreground,
            val=args.val,
            resume=args.resume,
            overwrite=args.overwrite,
            seed=args.seed,
        )
    if args.json:
        print(json.dumps(report, indent=1))


def _foreground(text: str) -> int | str:
    return int(text) if text.isdigit() else text
