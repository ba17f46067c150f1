"""Convert a checkpoint of DFormer, as detectron2 wrote it.

    python tools/model_converters/dformer_to_mmdiffseg.py SRC DST [--config CONFIG] [--trust]

SRC is a ``.pth`` file or a pickle of arrays (``.pkl``, with ``--trust``), or a URL; without
``--config`` the experiment is recognised by its shapes. DST gets the weights under mmdiffseg's
names, and as ``meta`` the classes, the palette, the config, and the encoder of masks. The tables of
the noise schedule are left out: ours compute them.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from mmdiffseg.compat.detectron2 import load_detectron2_weights
from mmdiffseg.diffusion.discrete import CosineBetas
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint
from mmdiffseg.models.backbones.swin import swin_from_timm

CONFIGS = Path(__file__).parents[2] / 'configs' / 'dformer'

PIXEL_DECODER, PREDICTOR = 'sem_seg_head.pixel_decoder.', 'sem_seg_head.predictor.'
# the first match wins; what matches none of its part keeps its name
PIXEL_DECODER_RULES = [
    (r'input_proj\.(\d)\.0\.', r'input_convs.\1.conv.'),
    (r'input_proj\.(\d)\.1\.', r'input_convs.\1.gn.'),
    (r'transformer\.level_embed$', r'level_encoding.weight'),
    (r'transformer\.(encoder\.layers\.\d+\.self_attn\.)', r'\1'),
    (r'transformer\.(encoder\.layers\.\d+)\.norm1\.', r'\1.norms.0.'),
    (r'transformer\.(encoder\.layers\.\d+)\.norm2\.', r'\1.norms.1.'),
    (r'transformer\.(encoder\.layers\.\d+)\.linear1\.', r'\1.ffn.layers.0.0.'),
    (r'transformer\.(encoder\.layers\.\d+)\.linear2\.', r'\1.ffn.layers.1.'),
    (r'adapter_1\.norm\.', r'lateral_convs.0.gn.'),
    (r'adapter_1\.', r'lateral_convs.0.conv.'),
    (r'layer_1\.norm\.', r'output_convs.0.gn.'),
    (r'layer_1\.', r'output_convs.0.conv.'),
    (r'mask_features\.', r'mask_feature.'),
]
LAYER = r'transformer_decoder.layers.\1'
PREDICTOR_RULES = [
    (r'transformer_cross_attention_layers\.(\d+)\.multihead_attn\.', rf'{LAYER}.cross_attn.attn.'),
    (r'transformer_cross_attention_layers\.(\d+)\.norm\.', rf'{LAYER}.norms.0.'),
    (r'transformer_self_attention_layers\.(\d+)\.self_attn\.', rf'{LAYER}.self_attn.attn.'),
    (r'transformer_self_attention_layers\.(\d+)\.norm\.', rf'{LAYER}.norms.1.'),
    (r'transformer_ffn_layers\.(\d+)\.linear1\.', rf'{LAYER}.ffn.layers.0.0.'),
    (r'transformer_ffn_layers\.(\d+)\.linear2\.', rf'{LAYER}.ffn.layers.1.'),
    (r'transformer_ffn_layers\.(\d+)\.norm\.', rf'{LAYER}.norms.2.'),
    (r'decoder_norm\.', r'transformer_decoder.post_norm.'),
    (r'class_embed\.', r'cls_embed.'),
    # a list of layers there, with the activations between them here
    (r'mask_embed\.layers\.0\.', r'mask_embed.0.'),
    (r'mask_embed\.layers\.1\.', r'mask_embed.2.'),
    (r'mask_embed\.layers\.2\.', r'mask_embed.4.'),
]
RESNET_RULES = [
    (r'stem\.conv1\.norm\.', r'bn1.'),
    (r'stem\.conv1\.', r'conv1.'),
    *[
        rule
        for stage in range(1, 5)
        for rule in (
            (rf'res{stage + 1}\.(\d+)\.shortcut\.norm\.', rf'layer{stage}.\1.downsample.1.'),
            (rf'res{stage + 1}\.(\d+)\.shortcut\.', rf'layer{stage}.\1.downsample.0.'),
            (rf'res{stage + 1}\.(\d+)\.conv(\d)\.norm\.', rf'layer{stage}.\1.bn\2.'),
            (rf'res{stage + 1}\.', rf'layer{stage}.'),
        )
    ],
]
# (width, blocks of the third stage) of the backbones -> in the names of the experiments
BACKBONES = {
    (64, 6): 'r50',
    (64, 23): 'r101',
    (96, 6): 'swin-t',
    (96, 18): 'swin-s',
    (128, 18): 'swin-b',
    (192, 18): 'swin-l',
}
TASKS = {133: 'coco-panoptic', 80: 'coco-instance', 150: 'ade20k-semantic'}
CLASSIFIER = f'{PREDICTOR}class_embed.bias'
# buffers of the noise schedule, which our schedules compute
SCHEDULE = {
    'betas',
    'alphas_cumprod',
    'alphas_cumprod_prev',
    'sqrt_alphas_cumprod',
    'sqrt_one_minus_alphas_cumprod',
    'log_one_minus_alphas_cumprod',
    'sqrt_recip_alphas_cumprod',
    'sqrt_recipm1_alphas_cumprod',
    'posterior_variance',
    'posterior_log_variance_clipped',
    'posterior_mean_coef1',
    'posterior_mean_coef2',
}


def rename(name: str, rules: list[tuple[str, str]]) -> str:
    """Apply the first rule that matches, if any."""
    for pattern, replacement in rules:
        renamed, count = re.subn(f'^{pattern}', replacement, name)
        if count:
            return renamed
    return name


def convert(weights: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    """Rename a state dict, leaving out what is not trained.

    Args:
        weights: In the authors' names.
        head: Name of our head, ``panoptic_head`` or ``decode_head``.
    """
    converted, backbone = {}, {}
    for name, value in weights.items():
        if name in SCHEDULE or name == 'criterion.empty_weight':
            continue
        if name.startswith('backbone.'):
            backbone[name.removeprefix('backbone.')] = value
            continue
        for prefix, ours, rules in (
            (PIXEL_DECODER, f'{head}.pixel_decoder.', PIXEL_DECODER_RULES),
            (PREDICTOR, f'{head}.', PREDICTOR_RULES),
        ):
            if name.startswith(prefix):
                name = ours + rename(name.removeprefix(prefix), rules)
                break
        converted[name] = value
    if 'stem.conv1.weight' in backbone:
        backbone = {rename(name, RESNET_RULES): value for name, value in backbone.items()}
    else:
        backbone = swin_from_timm(backbone)
    return converted | {f'backbone.{name}': value for name, value in backbone.items()}


def check_schedule(weights: dict[str, Tensor], src: str) -> None:
    """Compare the noise schedule in a checkpoint of the authors with that of our configs.

    Raises:
        ValueError: They differ.
    """
    ours = CosineBetas(num_timesteps=1000).alphas_cumprod
    theirs = weights['alphas_cumprod']
    if theirs.shape != ours.shape or not torch.allclose(theirs.double(), ours, atol=1e-9):
        raise ValueError(
            f'{src} was trained with another noise schedule than the cosine one of 1000 steps that '
            'the released models have: there is no config for it'
        )


def released_config(weights: dict[str, Tensor]) -> Path:
    """Find the config of a checkpoint of the authors by its shapes.

    Swin-B comes pretrained on two data sets, which is not to be seen: it is taken for the smaller.

    Raises:
        ValueError: No released experiment has these shapes.
    """
    stems = [
        len(weights[name])
        for name in ('backbone.stem.conv1.weight', 'backbone.patch_embed.proj.weight')
        if name in weights
    ]
    third_stage = re.compile(r'backbone\.(?:res4|layers\.2\.blocks)\.(\d+)\.')
    blocks = len({match[1] for name in weights if (match := third_stage.match(name))})
    classes = len(weights[CLASSIFIER]) - 1
    backbone, task = BACKBONES.get((*stems, blocks)), TASKS.get(classes)
    if backbone is None or task is None:
        raise ValueError(
            f'no released experiment has {classes} classes and a backbone of width {stems} with '
            f'{blocks} blocks in its third stage: name the config of this model with --config'
        )
    return CONFIGS / f'dformer_{backbone}_{task}.py'


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
    weights = load_detectron2_weights(src, trust=trust)
    if CLASSIFIER not in weights:
        raise ValueError(
            f'{src} is not a DFormer checkpoint, it has no {CLASSIFIER} but '
            f'{", ".join(list(weights)[:3])}, ...'
        )
    check_schedule(weights, src)
    config = read_model_config(config_path or released_config(weights))
    head = 'panoptic_head' if 'panoptic_head' in config.model else 'decode_head'
    weights = convert(weights, head)
    # the authors' frozen norms count no batches; Swin's index follows from its window
    fresh = r'backbone\..*(num_batches_tracked|relative_position_index)$'
    return write_checkpoint(weights, config, src=src, dst=dst, fresh=fresh)


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
