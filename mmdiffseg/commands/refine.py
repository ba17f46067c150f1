"""Make masks better that somebody else made.

mmdiffseg refine --images pictures/ --masks masks/ --out refined/
mmdiffseg refine --images val2017/ --masks predictions.json --out refined.json
mmdiffseg refine MODEL --images pictures/ --masks masks/ --out refined/

MODEL is a refiner, or for folders any model; by default the refiner that comes with the package,
which also stands in for models that cannot refine; see docs/refine.md. Masks are PNGs of labels, or
of 0 and 255, named like the pictures; or a JSON file of COCO's annotations or results.
"""

import argparse
from pathlib import Path
from typing import Any

from mmdiffseg.commands.model_option import add_model, load_model, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model(parser, default='refiner')
    parser.add_argument('--images', type=Path, required=True, help='folder of pictures')
    parser.add_argument('--masks', type=Path, required=True, help='folder of masks, or JSON file')
    parser.add_argument('--out', type=Path, required=True, help='folder or JSON file to write')
    parser.add_argument('--mode', help='of a refiner: auto, object, patches, whole, global_local')
    parser.add_argument('--strength', type=float, help='how far to go, in (0, 1]')
    parser.add_argument('--steps', type=int, help='denoiser calls of a chain')
    parser.add_argument('--generations', type=int, help='chains of each mask')
    parser.add_argument('--seed', type=int, help='seed of the noise')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier results')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """Refine a folder or a file."""
    from mmdiffseg.apis.refine_files import refine_coco, refine_folder

    names = ('mode', 'strength', 'steps', 'generations', 'seed')
    options: dict[str, Any] = {
        name: value for name in names if (value := getattr(args, name)) is not None
    }
    model = load_model(args)
    files = dict(images=args.images, out=args.out, overwrite=args.overwrite)
    if args.masks.suffix == '.json':
        count = refine_coco(model, annotations=args.masks, **files, **options)
    else:
        count = sum(1 for _ in refine_folder(model, masks=args.masks, **files, **options))
    tell(dict(out=str(args.out), refined=count), as_json=args.json)
