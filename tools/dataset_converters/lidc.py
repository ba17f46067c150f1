"""Prepare LIDC-IDRI: crops of CT slices with a lung nodule, which four radiologists outlined.

Two packs are in use. Both become 8-bit images of 128x128 and four folders of masks, 0 and 1, for
`mmdiffseg.MultiRaterDataset`. A radiologist who saw no nodule has an empty mask.

v1, `data_lidc.pickle` (Probabilistic-Unet-Pytorch; CCDM): a dict of crops with `image`, `masks` and
`series_uid`. Splits follow a hash of `series_uid`, about 64 : 16 : 20, so that no scan is in two.
The authors' own splits were drawn without a seed and cannot be repeated.

v2, the crops of the Hierarchical Probabilistic U-Net: `{train,val,test}/images/<patient>/*.png` and
`{train,val,test}/gt/<patient>/*_l{0..3}.png`, 180x180, of which the middle is kept.

    python tools/dataset_converters/lidc.py /my/data_lidc.pickle --out data/lidc
    python tools/dataset_converters/lidc.py /my/lidc_crops --out data/lidc_v2
"""

import argparse
import hashlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from binary_folder import new_folder, show_progress
from PIL import Image
from rater_folder import write_case

from mmdiffseg.engine import command_line

SIZE = 128
RATERS = 4
SPLITS = ('train', 'val', 'test')
# what arrays and numbers of numpy, old and new, are rebuilt with; none of it runs foreign code
ALLOWED = {
    (f'numpy.{core}.multiarray', name)
    for core in ('core', '_core')
    for name in ('_reconstruct', 'scalar')
} | {('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode')}

Case = tuple[str, str, np.ndarray, list[np.ndarray]]


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f'the pickle asks for {module}.{name}, where dicts, strings and arrays are enough: '
                'it is not data_lidc.pickle, and is not loaded'
            )
        return super().find_class(module, name)


def split_of(series_uid: str) -> str:
    """The split of a scan: the same on every machine and in every order."""
    share = int(hashlib.sha256(series_uid.encode()).hexdigest(), 16) % 100
    return 'train' if share < 64 else 'val' if share < 80 else 'test'


def read_v1(path: Path) -> list[Case]:
    """Read the pickle without running what a pickle may say."""
    try:
        with path.open('rb') as file:
            crops = _ArrayUnpickler(file, encoding='latin1').load()
    except pickle.UnpicklingError as error:
        sys.exit(f'{path}: {error}')
    except Exception as error:  # of damaged bytes the unpickler makes errors of many kinds
        sys.exit(f'{path} is damaged or not a pickle: {error!r}')
    if not isinstance(crops, dict):
        sys.exit(f'{path} holds a {type(crops).__name__}: data_lidc.pickle holds a dict of crops')
    cases = []
    for name, crop in crops.items():
        image = np.asarray(crop['image'], np.float64)
        if not (image.min() >= 0 and image.max() <= 1):
            sys.exit(f'{path}: {name} ranges from {image.min()} to {image.max()}, not in [0, 1]')
        masks = [(np.asarray(mask) > 0).astype(np.uint8) for mask in crop['masks']]
        pixels = (255 * image).round().astype(np.uint8)
        cases.append((split_of(str(crop['series_uid'])), str(name), pixels, masks))
    return cases


def read_v2(folder: Path) -> Iterator[Case]:
    """Read and crop the PNGs, one by one."""
    for split in SPLITS:
        for path in sorted((folder / split / 'images').glob('*/*.png')):
            labels = folder / split / 'gt' / path.parent.name
            masks = [
                (read_middle(labels / f'{path.stem}_l{rater}.png') > 0).astype(np.uint8)
                for rater in range(RATERS)
            ]
            yield split, f'{path.parent.name}_{path.stem}', read_middle(path), masks


def read_middle(path: Path) -> np.ndarray:
    """The middle 128x128 of a picture of one channel, (128, 128) uint8."""
    if not path.is_file():
        sys.exit(f'no file {path}: is the pack complete?')
    pixels = np.asarray(Image.open(path).convert('L'))
    if min(pixels.shape) < SIZE:
        sys.exit(f'{path} is {pixels.shape[1]}x{pixels.shape[0]}, smaller than {SIZE}x{SIZE}')
    top, left = ((side - SIZE) // 2 for side in pixels.shape)
    return pixels[top : top + SIZE, left : left + SIZE]


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('pack', type=Path, help='data_lidc.pickle (v1) or the folder (v2)')
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    args = parser.parse_args()
    if not args.pack.exists():
        parser.error(f'no file or folder {args.pack}')
    return args


def main() -> None:
    """Write all crops."""
    args = parse_args()
    if args.pack.is_file():
        cases = read_v1(args.pack)
        total = len(cases)
    else:
        total = sum(1 for split in SPLITS for _ in (args.pack / split / 'images').glob('*/*.png'))
        cases = read_v2(args.pack)
    if not total:
        sys.exit(f'{args.pack} holds no crops: see --help for its layout')
    counts = dict.fromkeys(SPLITS, 0)
    with new_folder(args.out) as root:
        for count, (split, name, image, masks) in enumerate(cases, start=1):
            if len(masks) != RATERS:
                sys.exit(f'{args.pack}: {name} has {len(masks)} masks instead of {RATERS}')
            write_case(root, split, name, image, masks)
            counts[split] += 1
            if count % 100 == 0 or count == total:
                show_progress('LIDC', count, total)
    print(f'{args.out}: ' + ', '.join(f'{n} images to {split}' for split, n in counts.items()))


if __name__ == '__main__':
    command_line.run_script(main)
