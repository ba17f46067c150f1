"""Prepare MoNuSeg for SegDiff: images of tissue and the union of their nuclei as masks.

Reads the challenge's own archives: `*.tif` images and Aperio's `*.xml` outlines of the same names,
anywhere below the folder of each split. Nuclei are filled at full size, then image (bilinear,
antialiased) and mask (nearest) are resized to 512x512, at which the paper's scores are taken.

    python tools/dataset_converters/monuseg.py --train '/my/MoNuSeg 2018 Training Data' \
        --test /my/MoNuSegTestData --out data/monuseg
"""

import argparse
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from binary_folder import new_folder, show_progress, write_held_out, write_pair
from PIL import Image
from pycocotools import mask as coco_mask

from mmdiffseg.engine import command_line

SIZE = (512, 512)


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for split in ('train', 'test'):
        parser.add_argument(f'--{split}', type=Path, required=True, help='folder of the archive')
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    parser.add_argument('--native-size', action='store_true', help='do not resize to 512x512')
    args = parser.parse_args()
    for folder in (args.train, args.test):
        if not folder.is_dir():
            parser.error(f'no folder {folder}: unpack the archive of the challenge there')
    return args


def find_pairs(folder: Path) -> list[tuple[str, Path, Path]]:
    """Name, image and outlines, in the order of the names."""
    # archives made on a Mac hold a hidden twin of every file
    files = sorted(p for p in folder.rglob('*') if p.is_file() and not p.name.startswith('.'))
    images = {p.name.split('.')[0]: p for p in files if p.suffix.lower() in ('.tif', '.tiff')}
    outlines = {p.name.split('.')[0]: p for p in files if p.suffix.lower() == '.xml'}
    if not images:
        sys.exit(f'no *.tif below {folder}')
    missing = sorted(images.keys() - outlines.keys())
    if missing:
        sys.exit(
            f'{len(missing)} of {len(images)} images below {folder} have no xml of the same name, '
            f'the first is {images[missing[0]]}'
        )
    return [(name, images[name], outlines[name]) for name in sorted(images)]


def read_outlines(path: Path) -> list[np.ndarray]:
    """The outlines of Aperio's XML, each (n, 2) of x and y in pixels from the image's corner."""
    outlines = [
        [(float(vertex.get('X')), float(vertex.get('Y'))) for vertex in region]
        for region in ElementTree.parse(path).iterfind('Annotation/Regions/Region/Vertices')
    ]
    # fewer than three points enclose nothing, and pycocotools would take two for a box
    outlines = [np.array(outline) for outline in outlines if len(outline) > 2]
    if not outlines:
        sys.exit(f'{path} holds no Annotation/Regions/Region/Vertices: is it an XML of Aperio?')
    return outlines


def fill(outlines: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """The union of filled outlines, (height, width) uint8 of 0 and 1."""
    polygons = [outline.ravel().tolist() for outline in outlines]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def main() -> None:
    """Fill, resize and write all pairs."""
    args = parse_args()
    splits = dict(train=find_pairs(args.train), test=find_pairs(args.test))
    with new_folder(args.out) as root:
        for split, pairs in splits.items():
            for count, (name, image_path, outlines_path) in enumerate(pairs, start=1):
                image = Image.open(image_path).convert('RGB')
                mask = Image.fromarray(fill(read_outlines(outlines_path), *image.size[::-1]))
                if not args.native_size:
                    image = image.resize(SIZE, Image.Resampling.BILINEAR)
                    mask = mask.resize(SIZE, Image.Resampling.NEAREST)
                write_pair(root, split, name, np.asarray(image), np.asarray(mask))
                show_progress(split, count, len(pairs))
        write_held_out(root, [name for name, *_ in splits['train']])
    print(f'{args.out}: {len(splits["train"])} training and {len(splits["test"])} test images')


if __name__ == '__main__':
    command_line.run_script(main)
