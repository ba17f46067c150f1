"""Write the instances of a COCO file as proposals of their images.

    python tools/dataset_converters/instance_proposals.py \
        data/shapes-64/annotations/instances_val.json data/shapes-64/proposals_val.json

For mmdiffseg.PrecomputedProposer, which then chooses among true masks: an upper bound for anything
that makes proposals, and a test of the choice alone.
"""

import argparse
import json
from pathlib import Path

from mmdiffseg.datasets.files import read_parts
from mmdiffseg.datasets.transforms.load_instance_union import compress
from mmdiffseg.engine import command_line


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('instances', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier OUT')
    args = parser.parse_args()
    if args.out.exists() and not args.overwrite:
        parser.error(f'{args.out} exists: add --overwrite to replace it')
    return args


def main() -> None:
    """Convert."""
    args = parse_args()
    content = read_parts(args.instances, 'images', 'annotations')
    images = {image['id']: image for image in content['images']}
    proposals = {image['file_name']: [] for image in content['images']}
    for annotation in content['annotations']:
        image = images.get(annotation['image_id'])
        if image is None:
            raise ValueError(
                f'{args.instances}: annotation {annotation["id"]} is of image '
                f'{annotation["image_id"]}, which the file does not list'
            )
        rle = compress(annotation['segmentation'], image['height'], image['width'])
        proposals[image['file_name']].append(
            dict(size=list(rle['size']), counts=rle['counts'].decode())
        )
    args.out.write_text(json.dumps(proposals))
    print(f'{args.out}: {len(content["annotations"])} masks of {len(images)} images')


if __name__ == '__main__':
    command_line.run_script(main)
