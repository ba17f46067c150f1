"""List the object instances of Cityscapes for SegDiff and other models of one object.

Writes `<out>/<split>/all_classes_instances.json` for the splits train, train_val, val and
train_full (train + train_val), in the layout that the lists of ACDRNet have::

    {"classes_names": [8 names], "data": {name: [instance, ...]}}
    instance: {"labe": name, "img": {"height", "width", "file_name"}, "bbox": [x, y, w, h],
               "segmentation": [component, ...], "comp_bbox": [[x, y, w, h], ...]}

`labe` is that layout's own spelling; `file_name` is relative to leftImg8bit. Components of an area
up to 100 pixels are left out, and so are instances without any other, or with an empty box.

Three sources, which make three different annotation sets: scores are not comparable between them.

polyrnn       PolygonRNN++'s cityscapes_final_v5/{train,train_val,val}/<city>/*.json, those of the
              SegDiff paper. A box that sticks out at the left or top is shifted, as released.
polygons      gtFine/{train,val}/<city>/*_gtFine_polygons.json. An object is one polygon, also where
              nearer objects hide it. Groups ("cargroup") are left out.
instance-ids  gtFine/{train,val}/<city>/*_gtFine_instanceIds.png. An object is its visible pixels; a
              component is a connected region (8 neighbours), stored as COCO run lengths, which
              keeps holes and which pycocotools reads like polygons.

gtFine has no train_val: two cities of its training images are held out for that.

    python tools/dataset_converters/cityscapes_instances.py polygons data/cityscapes/gtFine \
        --out data/cityscapes/instances
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from mmdiffseg.datasets.files import read_json
from mmdiffseg.engine import command_line

# id of gtFine's label of each class, in the order of the lists
CLASSES = dict(person=24, rider=25, car=26, truck=27, bus=28, train=31, motorcycle=32, bicycle=33)
MIN_AREA = 100  # pixels; larger components are kept
HELD_OUT_CITIES = ('weimar', 'zurich')
SPLITS = ('train', 'train_val', 'val')


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', choices=READERS, help='kind of annotations')
    parser.add_argument('root', type=Path, help='folder that holds train and val')
    parser.add_argument('--out', type=Path, required=True, help='folder for the lists')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier lists')
    args = parser.parse_args()
    for split in SPLITS if args.source == 'polyrnn' else ('train', 'val'):
        if not (args.root / split).is_dir():
            parser.error(f'no folder {args.root / split}: give the folder that holds train and val')
    for split in (*SPLITS, 'train_full'):
        if list_path(args.out, split).exists() and not args.overwrite:
            parser.error(f'{list_path(args.out, split)} exists: add --overwrite to replace it')
    return args


def list_path(out: Path, split: str) -> Path:
    """Where the list of a split lies."""
    return out / split / 'all_classes_instances.json'


def read_polyrnn(path: Path) -> Iterator[dict]:
    """Instances of one image as PolygonRNN++ lists them."""
    for instance in read_json(path):
        yield dict(
            label=instance['label'],
            file_name='/'.join(PurePosixPath(instance['img_path']).parts[-3:]),
            size=(instance['img_height'], instance['img_width']),
            bbox=instance['bbox'],
            components=[
                dict(
                    segmentation=np.ravel(component['poly']).tolist(),
                    area=component['area'],
                    bbox=component['bbox'],
                )
                for component in instance['components']
            ],
        )


def read_polygons(path: Path) -> Iterator[dict]:
    """Instances of one image from gtFine's polygons, each with the box of its polygon."""
    content = read_json(path)
    height, width = content['imgHeight'], content['imgWidth']
    for item in content['objects']:
        if item['label'] not in CLASSES or item.get('deleted'):
            continue
        polygon = np.array(item['polygon'])  # (n, 2)
        x, y = polygon.T
        (left, top), (right, bottom) = (
            # polygons may reach beyond the image
            np.clip(corner, 0, (width, height)).tolist()
            for corner in (polygon.min(0), polygon.max(0))
        )
        bbox = [left, top, right - left, bottom - top]
        area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        yield dict(
            label=item['label'],
            file_name=image_name(path),
            size=(height, width),
            bbox=bbox,
            components=[dict(segmentation=polygon.ravel().tolist(), area=area, bbox=bbox)],
        )


def read_instance_ids(path: Path) -> Iterator[dict]:
    """Instances of one image from gtFine's map of instance ids, 1000 * label + number."""
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    names = {label: name for name, label in CLASSES.items()}
    for number in np.unique(ids):
        if number // 1000 not in names:
            continue
        mask = (ids == number).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        window = mask[top : top + height, left : left + width]
        _, regions, stats, _ = cv2.connectedComponentsWithStats(window, connectivity=8)
        components = []
        for region, (x, y, w, h, area) in enumerate(stats[1:].tolist(), start=1):
            if area > MIN_AREA:  # here already: the box is that of the components that stay
                runs = run_lengths(regions == region, left, top, ids.shape)
                bbox = [left + x, top + y, w, h]
                components.append(dict(segmentation=runs, area=area, bbox=bbox))
        boxes = np.array([component['bbox'] for component in components]).reshape(-1, 4)
        yield dict(
            label=names[number // 1000],
            file_name=image_name(path),
            size=ids.shape,
            bbox=union(boxes),
            components=components,
        )


READERS = {
    'polyrnn': ('*.json', read_polyrnn),
    'polygons': ('*_gtFine_polygons.json', read_polygons),
    'instance-ids': ('*_gtFine_instanceIds.png', read_instance_ids),
}


def image_name(path: Path) -> str:
    """The image that a gtFine file annotates, relative to leftImg8bit."""
    split, city, name = path.parts[-3:]
    return f'{split}/{city}/{name.split("_gtFine_")[0]}_leftImg8bit.png'


def union(boxes: np.ndarray) -> list[int]:
    """The box [x, y, w, h] around boxes, (n, 4); an empty one around none."""
    if not len(boxes):
        return [0, 0, 0, 0]
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    return [*low.tolist(), *(high - low).tolist()]


def run_lengths(mask: np.ndarray, left: int, top: int, size: tuple[int, int]) -> dict:
    """COCO run lengths, column by column, of a mask that lies at (left, top) in an image."""
    columns, rows = np.nonzero(mask.T)
    pixels = (left + columns) * size[0] + top + rows
    starts = pixels[np.diff(pixels, prepend=-2) != 1]
    ends = pixels[np.diff(pixels, append=-2) != 1] + 1
    edges = np.stack([starts, ends], 1).ravel()
    return dict(
        counts=np.diff(edges, prepend=0, append=size[0] * size[1]).tolist(), size=list(size)
    )


def to_entry(instance: dict) -> dict | None:
    """An instance as the lists hold it; None if it is too small to be listed."""
    components = [c for c in instance['components'] if c['area'] > MIN_AREA]
    # a box that begins outside the image moves inwards at full size: so the released lists have it
    bbox = np.maximum(instance['bbox'], 0).tolist()
    if not components or 0 in bbox[2:]:
        return None
    height, width = instance['size']
    return dict(
        labe=instance['label'],
        img=dict(height=height, width=width, file_name=instance['file_name']),
        segmentation=[component['segmentation'] for component in components],
        comp_bbox=[np.maximum(component['bbox'], 0).tolist() for component in components],
        bbox=bbox,
    )


def find_files(source: str, root: Path) -> dict[str, list[Path]]:
    """The annotation files of each split, in order."""
    pattern, _ = READERS[source]
    files = {split: sorted((root / split).glob(f'*/{pattern}')) for split in SPLITS}
    if source != 'polyrnn':
        both = files['train']
        files['train_val'] = [path for path in both if path.parent.name in HELD_OUT_CITIES]
        files['train'] = [path for path in both if path.parent.name not in HELD_OUT_CITIES]
    for split, paths in files.items():
        if not paths:
            cities = f' of {" and ".join(HELD_OUT_CITIES)}' if split == 'train_val' else ''
            sys.exit(f'no <city>/{pattern}{cities} for the split {split} below {root}')
    return files


def collect(source: str, split: str, paths: list[Path]) -> dict[str, list[dict]]:
    """All entries of a split, class by class."""
    entries = {name: [] for name in CLASSES}
    _, read = READERS[source]
    for count, path in enumerate(paths, start=1):
        for instance in read(path):
            if instance['label'] in entries and (entry := to_entry(instance)):
                entries[instance['label']].append(entry)
        if count % 50 == 0 or count == len(paths):
            print(f'\r{split}: {count}/{len(paths)} images', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return entries


def main() -> None:
    """Read everything before anything is written."""
    args = parse_args()
    files = find_files(args.source, args.root)
    data = {split: collect(args.source, split, paths) for split, paths in files.items()}
    data['train_full'] = {name: data['train'][name] + data['train_val'][name] for name in CLASSES}
    for split, entries in data.items():
        path = list_path(args.out, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(classes_names=list(CLASSES), data=entries)))
        counts = ', '.join(f'{name} {len(listed)}' for name, listed in entries.items())
        print(f'{path}: {counts}')


if __name__ == '__main__':
    command_line.run_script(main)
