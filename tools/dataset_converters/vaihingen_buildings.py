"""Prepare the Vaihingen buildings of SegDiff: 100 training and 68 test images of 256x256.

Reads the archive of DARNet, one folder of `building_<n>.tif` and `building_mask_<n>.tif`. In the
order of their names as text (1, 10, 100, 101, ...) the first 100 are for training. As released,
images are resized to the nearest pixel and masks linearly, and a mask is 1 where the resized value
is at least 0.5. Of masks that hold 0 and 255 this makes a pixel 1 if any of the 2x2 it comes from
is set, so that buildings grow; of 0 and 1, if at least two are. The values found are printed;
--binarize-first treats both kinds like 0 and 1.

    python tools/dataset_converters/vaihingen_buildings.py /my/buildings --out data/vaihingen
"""

import argparse
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from binary_folder import new_folder, show_progress, write_held_out, write_pair

from mmdiffseg.engine import command_line

SIZE = (256, 256)
NUM_TRAIN = 100


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help='folder of building_*.tif')
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    parser.add_argument(
        '--binarize-first', action='store_true', help='make masks 0 and 1 before they are resized'
    )
    return parser.parse_args()


def find_images(root: Path) -> list[Path]:
    """The images in the order of their names, each of which has a mask."""
    images = sorted(p for p in root.glob('*.tif') if re.fullmatch(r'building_\d+', p.stem))
    if len(images) <= NUM_TRAIN:
        sys.exit(
            f'{len(images)} images building_<n>.tif in {root}: need more than {NUM_TRAIN}, '
            'which are for training (the archive has 168)'
        )
    missing = [mask_path(path) for path in images if not mask_path(path).is_file()]
    if missing:
        sys.exit(f'{len(missing)} of {len(images)} images have no mask, the first is {missing[0]}')
    return images


def mask_path(image: Path) -> Path:
    """The mask of an image."""
    return image.with_name(image.name.replace('building_', 'building_mask_'))


def read(path: Path, mode: int) -> np.ndarray:
    """Read a picture with one of OpenCV's modes."""
    pixels = cv2.imread(str(path), mode)
    if pixels is None:
        sys.exit(f'cannot read {path} as an image')
    return pixels


def main() -> None:
    """Resize and write all pairs."""
    args = parse_args()
    images = find_images(args.root)
    values = set()
    with new_folder(args.out) as root:
        for count, path in enumerate(images, start=1):
            split = 'train' if count <= NUM_TRAIN else 'test'
            image = read(path, cv2.IMREAD_COLOR)[..., ::-1]
            mask = read(mask_path(path), cv2.IMREAD_GRAYSCALE)
            values.update(np.unique(mask).tolist())
            if args.binarize_first:
                mask = (mask > 0).astype(np.uint8)
            image = cv2.resize(image, SIZE, interpolation=cv2.INTER_NEAREST)
            mask = cv2.resize(mask, SIZE, interpolation=cv2.INTER_LINEAR) >= 0.5
            write_pair(root, split, path.stem, image, mask.astype(np.uint8))
            show_progress('vaihingen', count, len(images))
        write_held_out(root, [path.stem for path in images[:NUM_TRAIN]])
    print(f'the masks hold {", ".join(map(str, sorted(values)))}')
    print(f'{args.out}: {NUM_TRAIN} training and {len(images) - NUM_TRAIN} test images')


if __name__ == '__main__':
    command_line.run_script(main)
