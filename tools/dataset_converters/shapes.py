"""Generate the Shapes data set: pictures of textured shapes with exact ground truth.

For demos, tests and continuous integration, never a benchmark. The files are ordinary ones::

    images/{train,val}/000000.jpg    RGB
    labels/{train,val}/000000.png    class ids, 0 is the background, 255 does not occur
    depth/{train,val}/000000.png     16-bit millimetres (metres = value / 1000)
    panoptic/{train,val}/000000.png  COCO panoptic ids (id = R + 256 G + 65536 B), 0 does not occur
    maps/{train,val}/000000.npz      `masks` (6, h, w): one layer a class, on cells of 2 pixels, of
                                     all that is there, hidden or not
    annotations/instances_{train,val}.json  COCO instances, the visible part of each shape
    annotations/panoptic_{train,val}.json   COCO panoptic, things first, then the background
    refs/, fewshot/                  referring expressions and few-shot episodes: shapes_tasks.py
    shapes.json                      the options that made it

A category id is the class id of the label files. Instances also have a `color`; one that wears the
wall's colours shows little of it, so `--camouflage 0` suits tasks that speak of colours. The same
seed gives the same pictures: each depends on (seed, split, index) alone, so that asking for more
leaves the others as they are.

    python tools/dataset_converters/shapes.py --out data/shapes
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from shapes_tasks import write_fewshot, write_refs
from shapes_world import CLASSES, Painting, Scene, paint, sample_scene

from mmdiffseg.engine import command_line

SPLITS = ('train', 'val')
FOLDERS = ('images', 'labels', 'depth', 'panoptic', 'maps')
CATEGORIES = [
    dict(id=label, name=name, isthing=int(label > 0)) for label, name in enumerate(CLASSES)
]
CATEGORIES = CATEGORIES[1:] + CATEGORIES[:1]


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    parser.add_argument('--train', type=int, default=2000, help='training pictures (%(default)s)')
    parser.add_argument('--val', type=int, default=200, help='validation pictures (%(default)s)')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(96, 96), metavar=('W', 'H'), help='pixels (96 96)'
    )
    parser.add_argument(
        '--shapes',
        type=int,
        nargs=2,
        default=(1, 8),
        metavar=('MIN', 'MAX'),
        help='a picture (1 8)',
    )
    parser.add_argument(
        '--camouflage', type=float, default=0.1, help="share of shapes in the wall's colours (0.1)"
    )
    parser.add_argument(
        '--distractors',
        type=float,
        nargs=2,
        default=(0.0, 0.0),
        metavar=('TRAIN', 'VAL'),
        help='share of pictures made sure to have two shapes of one colour but not one kind (0 0)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier --out')
    args = parser.parse_args()
    if min(args.train, args.val) < 1:
        parser.error(f'--train {args.train} --val {args.val}: both need at least 1 picture')
    if min(args.size) < 32:
        parser.error(f'--size {args.size[0]} {args.size[1]}: shapes need at least 32 pixels')
    if not 1 <= args.shapes[0] <= args.shapes[1] <= 80:
        parser.error(f'--shapes {args.shapes[0]} {args.shapes[1]}: need 1 <= MIN <= MAX <= 80')
    for name, shares in (('camouflage', [args.camouflage]), ('distractors', args.distractors)):
        if not all(0 <= share <= 1 for share in shares):
            parser.error(f'--{name} {" ".join(map(str, shares))}: a share is between 0 and 1')
    if any(args.distractors) and args.shapes[0] < 2:
        parser.error(f'--distractors needs two shapes a picture: --shapes {args.shapes[0]} ...')
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: must not be negative')
    if args.out.exists() and not args.overwrite:
        parser.error(f'{args.out} exists: add --overwrite to replace it, or choose another --out')
    if args.out.exists() and not (args.out / 'shapes.json').is_file():
        parser.error(f'{args.out} holds no shapes.json, so it is not replaced: remove it yourself')
    return args


def generate(args: argparse.Namespace, split: str, index: int) -> tuple[Scene, Painting]:
    """Sample and paint one picture."""
    rng = np.random.default_rng([args.seed, SPLITS.index(split), index])
    width, height = args.size
    scene = sample_scene(
        rng,
        height,
        width,
        *args.shapes,
        camouflage=args.camouflage,
        distractors=args.distractors[SPLITS.index(split)],
    )
    return scene, paint(scene, rng)


def write_split(root: Path, split: str, args: argparse.Namespace) -> dict:
    """Write all files of one split below `root`; returns the content of its COCO instances."""
    for folder in FOLDERS:
        (root / folder / split).mkdir(parents=True)
    images, instances, panoptic = [], [], []
    count = getattr(args, split)
    for index in range(count):
        scene, painting = generate(args, split, index)
        write_maps(root, split, index, scene, painting)
        images.append(
            dict(id=index, file_name=f'{index:06d}.jpg', height=scene.height, width=scene.width)
        )
        segments = describe_segments(scene, painting)
        for number, segment in enumerate(segments):
            if segment['category_id'] > 0:
                mask = painting.instances == number
                instances.append(
                    segment
                    | dict(
                        id=len(instances) + 1,
                        image_id=index,
                        segmentation=encode_mask(mask),
                        color=scene.shapes[number - 1].surface.color,
                    )
                )
        panoptic.append(dict(image_id=index, file_name=f'{index:06d}.png', segments_info=segments))
        if (index + 1) % 50 == 0 or index + 1 == count:
            print(f'\r{split}: {index + 1}/{count} pictures', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)

    (root / 'annotations').mkdir(exist_ok=True)
    info = dict(description='Shapes: generated scenes for demos and tests, not a benchmark')
    contents = dict(
        instances=dict(info=info, images=images, annotations=instances, categories=CATEGORIES[:-1]),
        panoptic=dict(info=info, images=images, annotations=panoptic, categories=CATEGORIES),
    )
    for name, content in contents.items():
        (root / 'annotations' / f'{name}_{split}.json').write_text(json.dumps(content))
    return contents['instances']


def write_maps(root: Path, split: str, index: int, scene: Scene, painting: Painting) -> None:
    """Write the picture, its label, depth and panoptic maps, and the layers of its map."""
    segment_ids = np.zeros((*painting.instances.shape, 3), np.uint8)
    segment_ids[..., 2] = painting.instances + 1  # BGR: red is the low byte
    for folder, suffix, pixels in (
        ('images', '.jpg', painting.image[..., ::-1]),
        ('labels', '.png', painting.labels(scene)),
        ('depth', '.png', painting.depth),
        ('panoptic', '.png', segment_ids),
    ):
        path = root / folder / split / f'{index:06d}{suffix}'
        if not cv2.imwrite(str(path), pixels):
            raise OSError(f'cannot write {path}')
    np.savez_compressed(root / 'maps' / split / f'{index:06d}.npz', masks=scene.map_masks())


def describe_segments(scene: Scene, painting: Painting) -> list[dict]:
    """COCO `segments_info`: the background, then the shapes from far to near."""
    labels = [0, *(shape.label for shape in scene.shapes)]
    segments = []
    for number, label in enumerate(labels):
        mask = painting.instances == number
        if mask.any():
            segments.append(
                dict(
                    id=number + 1,
                    category_id=label,
                    area=int(mask.sum()),
                    bbox=list(cv2.boundingRect(mask.astype(np.uint8))),
                    iscrowd=0,
                )
            )
    return segments


def encode_mask(mask: np.ndarray) -> dict:
    """COCO uncompressed run lengths, column by column, beginning with zeros."""
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1]))
    return dict(counts=np.diff(changes, prepend=0).tolist(), size=list(mask.shape))


def main() -> None:
    """Write everything beside the target first: an interrupted run leaves nothing behind."""
    args = parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent, prefix=f'{args.out.name}-') as folder:
        root = Path(folder) / args.out.name
        instances = {split: write_split(root, split, args) for split in SPLITS}
        write_refs(root, instances)
        write_fewshot(root, instances, args.seed)
        names = ('seed', 'train', 'val', 'size', 'shapes', 'camouflage', 'distractors')
        options = {name: getattr(args, name) for name in names}
        (root / 'shapes.json').write_text(json.dumps(options) + '\n')
        if args.out.exists():
            shutil.rmtree(args.out)
        root.rename(args.out)
    print(f'{args.out}: {args.train} training and {args.val} validation pictures')


if __name__ == '__main__':
    command_line.run_script(main)
