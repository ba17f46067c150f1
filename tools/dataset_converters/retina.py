"""Prepare photographs of the retina whose vessels two observers drew: CHASE_DB1 and DRIVE.

Both become folders of images and of masks, 0 and 1, for `mmdiffseg.MultiRaterDataset`. The images
of CHASE_DB1 are copied, those of DRIVE become PNGs.

CHASE_DB1: `Image_01L.jpg`, `Image_01L_1stHO.png`, `Image_01L_2ndHO.png`, ... in one folder. Both
eyes of children 1 to 10 are for training, of 11 to 14 for validation.

DRIVE: the folders `training` and `test` with `images`, `1st_manual`, `2nd_manual` and `mask` in
them. The second observer drew the test images only. Pixels outside the field of view do not count.

    python tools/dataset_converters/retina.py chase_db1 /my/CHASEDB1 --out data/chase_db1
    python tools/dataset_converters/retina.py drive /my/DRIVE --out data/drive
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

import numpy as np
from binary_folder import new_folder, show_progress
from PIL import Image
from rater_folder import write_case, write_masks

from mmdiffseg.engine import command_line

CHASE_TRAINING_CHILDREN = 10
DRIVE_SPLITS = dict(train='training', test='test')


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('dataset', choices=('chase_db1', 'drive'))
    parser.add_argument('folder', type=Path, help='folder of the unpacked archive')
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    args = parser.parse_args()
    if not args.folder.is_dir():
        parser.error(f'no folder {args.folder}: unpack the archive there')
    return args


def read(path: Path, mode: str) -> np.ndarray:
    """Read a picture in a mode of Pillow: RGB, or L for one channel."""
    if not path.is_file():
        sys.exit(f'no file {path}: is the archive complete?')
    return np.asarray(Image.open(path).convert(mode))


def read_mask(path: Path) -> np.ndarray:
    """Read a mask of black and white as 0 and 1, (H, W) uint8."""
    return (read(path, 'L') > 127).astype(np.uint8)


def chase_db1_cases(folder: Path) -> list[tuple]:
    """Split, name, path of the image, of the masks, and no field of view."""
    cases = []
    for path in sorted(folder.glob('Image_*.jpg')):
        child = re.fullmatch(r'Image_(\d\d)[LR]', path.stem)
        if not child:
            sys.exit(f'{path} is not named like Image_01L.jpg')
        split = 'train' if int(child[1]) <= CHASE_TRAINING_CHILDREN else 'val'
        masks = [folder / f'{path.stem}_{nth}HO.png' for nth in ('1st', '2nd')]
        cases.append((split, path.stem.removeprefix('Image_'), path, masks, None))
    return cases


def drive_cases(folder: Path) -> list[tuple]:
    """Split, name, path of the image, of the masks, and of the field of view."""
    cases = []
    for split, name in DRIVE_SPLITS.items():
        for path in sorted((folder / name / 'images').glob('*.tif')):
            number = path.stem.split('_')[0]
            masks = [folder / name / '1st_manual' / f'{number}_manual1.gif']
            if split == 'test':
                masks.append(folder / name / '2nd_manual' / f'{number}_manual2.gif')
            view = folder / name / 'mask' / f'{path.stem}_mask.gif'
            cases.append((split, number, path, masks, view))
    return cases


def main() -> None:
    """Write all cases."""
    args = parse_args()
    cases = dict(chase_db1=chase_db1_cases, drive=drive_cases)[args.dataset](args.folder)
    if not cases:
        sys.exit(f'{args.folder} holds no images of {args.dataset}: see --help for its layout')
    with new_folder(args.out) as root:
        for count, (split, name, image, masks, view) in enumerate(cases, start=1):
            maps = [read_mask(path) for path in masks]
            if view is not None:
                inside = read_mask(view) == 1
                maps = [np.where(inside, labels, 255).astype(np.uint8) for labels in maps]
            pixels = read(image, 'RGB')
            if image.suffix == '.jpg':  # as it is: nothing is gained by storing its noise
                write_masks(root, split, name, maps, size=pixels.shape[:2])
                copy = root / 'images' / split / f'{name}.jpg'
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, copy)
            else:
                write_case(root, split, name, pixels, maps)
            show_progress(args.dataset, count, len(cases))
    counts = {split: sum(case[0] == split for case in cases) for split in ('train', 'val', 'test')}
    print(f'{args.out}: ' + ', '.join(f'{n} images to {split}' for split, n in counts.items() if n))


if __name__ == '__main__':
    command_line.run_script(main)
