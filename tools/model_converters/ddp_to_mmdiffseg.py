"""Convert a checkpoint that the DDP authors released for segmentation, or one of their depth code.

    python tools/model_converters/ddp_to_mmdiffseg.py SRC DST [--config CONFIG]

SRC is a file or a URL. The released files hold nothing but a state dict; without ``--config`` the
experiment is recognised by its shapes. Depth models, whose weights were never released, need
``--config``. DST gets the weights under mmdiffseg's names, and as
``meta`` the classes, the palette, the config, and the label encoder they were trained with.
"""

import math
import re
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint

CONFIGS = Path(__file__).parents[2] / 'configs' / 'ddp'

# first match wins; what matches nothing keeps its name
RULES = [
    (r'embedding_table\.', r'decode_head.label_encoder.embedding_table.'),
    (r'(transform|time_mlp)\.', r'decode_head.denoiser.\1.'),
    (r'down\.', r'decode_head.denoiser.transform.'),
    (r'decode_head\.encoder\.', r'decode_head.denoiser.encoder.'),
    # ConvNeXt: mmcls -> timm, which counts the stem apart and a downsampling to its stage
    (r'backbone\.downsample_layers\.0\.', r'backbone.stem.'),
    (r'backbone\.downsample_layers\.(\d)\.', r'backbone.stages.\1.downsample.'),
    (r'(backbone\.stages\.\d)\.(\d+)\.depthwise_conv\.', r'\1.blocks.\2.conv_dw.'),
    (r'(backbone\.stages\.\d)\.(\d+)\.pointwise_conv(\d)\.', r'\1.blocks.\2.mlp.fc\3.'),
    (r'(backbone\.stages\.\d)\.(\d+)\.', r'\1.blocks.\2.'),
]
# (width, blocks) of the backbones -> letter in the names of the experiments
SIZES = {
    'swin': {(96, 12): 't', (96, 24): 's', (128, 24): 'b', (192, 24): 'l'},
    'convnext': {(96, 18): 't', (96, 36): 's', (128, 36): 'b', (192, 36): 'l'},
}
DATA = {150: 'ade20k', 19: 'cityscapes'}


def rename(name: str) -> str:
    """Map a name of the authors' model to ours."""
    for pattern, replacement in RULES:
        renamed, count = re.subn(f'^{pattern}', replacement, name)
        if count:
            return renamed
    return name


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict, leaving out the moving averages that the authors' release drops too."""
    return {rename(name): value for name, value in weights.items() if 'ema_' not in name}


def released_config(weights: dict[str, Tensor]) -> Path:
    """Find the config of a converted state dict by its shapes.

    Raises:
        ValueError: No released experiment has these shapes.
    """
    if 'backbone.stem.0.weight' in weights:
        family, window = 'convnext', None
        width = len(weights['backbone.stem.0.weight'])
    else:
        family = 'swin'
        width = len(weights['backbone.patch_embed.projection.weight'])
        table = weights['backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table']
        window = (math.isqrt(len(table)) + 1) // 2  # one row for each of (2w - 1)^2 offsets
    blocks = len({m[0] for name in weights if (m := re.match(r'backbone.*\.blocks\.\d+', name))})
    classes = len(weights['decode_head.conv_seg.weight'])
    size, data = SIZES[family].get((width, blocks)), DATA.get(classes)
    path = CONFIGS / f'ddp_{family}-{size}_{data}.py'
    if not path.exists() or Config.fromfile(path).model.backbone.get('window_size') != window:
        raise ValueError(
            f'no released experiment has {classes} classes and a {family} backbone {width} wide '
            f'with {blocks} blocks{f" and windows of {window}" if window else ""}: '
            f'name the config of this model with --config'
        )
    return path


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint, checking it against the model before anything is written.

    Args:
        src: Checkpoint of the authors, a file or a URL.
        dst: File to write.
        config_path: Config of the model, where it is not a released one.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of the model, or of no released one.
    """
    weights = convert(load_checkpoint_file(src, trust=trust)['state_dict'])
    depth = 'decode_head.conv_depth.weight' in weights
    if not depth and 'decode_head.label_encoder.embedding_table.weight' not in weights:
        raise ValueError(
            f'{src} is not a DDP segmentation checkpoint, it has no embedding_table.weight but '
            f'{", ".join(list(weights)[:3])}, ...'
        )
    if depth and config_path is None:
        raise ValueError(
            f'{src} is a depth model, which looks alike for KITTI and NYU: name its config with '
            '--config'
        )
    config = read_model_config(config_path or released_config(weights))
    if depth and 'decode_head.denoiser.encoder.layers.0.time_mlp.1.weight' not in weights:
        config.model.decode_head.denoiser.time_modulation = False  # as the authors' code builds it
    return write_checkpoint(weights, config, src=src, dst=dst)


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
