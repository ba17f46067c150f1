"""Turn a model that draws masks of two classes into the beginning of a refiner.

    python tools/model_converters/samples_to_refiner.py nuclei nuclei_as_refiner.pth

SRC is the name or folder of a model whose network is a FeatureMapUNet and reads masks one-hot, such
as the shipped `nuclei`. Nothing is approximated: a refiner reads the mask of the object alone, of
which the other channel is the complement, and says one logit, the difference of the two. (Only in
the outermost pixels the padding reads as background.)
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from mmdiffseg.apis.load import load
from mmdiffseg.engine import command_line

STEM, OUT = 'decode_head.denoiser.input_blocks.0.0', 'decode_head.denoiser.out.2'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join the channels of background and object, which lie one behind the other."""
    converted = dict(weights)
    background, objects = weights[f'{STEM}.weight'].chunk(2, dim=1)
    converted[f'{STEM}.weight'] = objects - background
    converted[f'{STEM}.bias'] = weights[f'{STEM}.bias'] + background.sum(dim=(1, 2, 3))
    for name in (f'{OUT}.weight', f'{OUT}.bias'):
        background, objects = weights[name].chunk(2)
        converted[name] = objects - background
    return converted


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('source', metavar='SRC', help='name or folder of a model')
    parser.add_argument('dst', metavar='DST', type=Path, help='checkpoint to write')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Read, convert and write."""
    weights = load(args.source, device='cpu').model.state_dict()
    torch.save(dict(state_dict=convert(weights), meta={}), args.dst)
    print(f'Written: {args.dst}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
