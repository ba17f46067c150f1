"""Convert the vision tower of Alpha-CLIP, as its authors wrote it, to a folder of transformers.

    python tools/model_converters/alpha_clip_to_mmdiffseg.py SRC DST [--trust]

SRC is a weight file such as ``clip_l14_grit20m_fultune_2xe.pth``. DST is a folder for
``CLIPVisionModel.from_pretrained``: the convolution of the mask becomes the fourth channel of that
of the picture. The projection into CLIP's common space is left out, because nothing here uses it.
"""

import math
import re
from pathlib import Path

import torch
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import run
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.weights import load_exactly

BLOCK = r'transformer\.resblocks\.(\d+)\.'
LAYER = r'encoder.layers.\1.'
RULES = [
    (r'class_embedding$', r'embeddings.class_embedding'),
    (r'positional_embedding$', r'embeddings.position_embedding.weight'),
    (r'ln_pre\.', r'pre_layrnorm.'),
    (r'ln_post\.', r'post_layernorm.'),
    (rf'{BLOCK}ln_(\d)\.', rf'{LAYER}layer_norm\2.'),
    (rf'{BLOCK}attn\.out_proj\.', rf'{LAYER}self_attn.out_proj.'),
    (rf'{BLOCK}mlp\.c_fc\.', rf'{LAYER}mlp.fc1.'),
    (rf'{BLOCK}mlp\.c_proj\.', rf'{LAYER}mlp.fc2.'),
]
IN_PROJECTION = re.compile(rf'{BLOCK}attn\.in_proj\.(weight|bias)$')
PICTURE, MASK = 'conv1.weight', 'conv1_alpha.weight'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict to transformers' names; what is not known keeps its own."""
    weights = dict(weights)
    picture, mask = weights.pop(PICTURE), weights.pop(MASK)
    converted = {'embeddings.patch_embedding.weight': torch.cat([picture, mask], dim=1)}
    for name, value in weights.items():
        if name == 'proj':
            continue
        joint = IN_PROJECTION.match(name)
        if joint:
            for part, rows in zip('qkv', value.chunk(3), strict=True):
                layer, kind = joint.groups()
                converted[f'encoder.layers.{layer}.self_attn.{part}_proj.{kind}'] = rows
            continue
        for pattern, ours in RULES:
            name, found = re.subn(pattern, ours, name)
            if found:
                break
        converted[name] = value
    return {name: value.to(torch.float32, copy=True) for name, value in converted.items()}


def visible_settings(weights: dict[str, Tensor]) -> dict[str, int]:
    """Read the network off a converted state dict; CLIP's heads are 64 wide."""
    width, channels, patch, _ = weights['embeddings.patch_embedding.weight'].shape
    positions = len(weights['embeddings.position_embedding.weight'])
    layers = {name.split('.')[2] for name in weights if name.startswith('encoder.layers.')}
    return dict(
        hidden_size=width,
        intermediate_size=len(weights['encoder.layers.0.mlp.fc1.weight']),
        num_hidden_layers=len(layers),
        num_attention_heads=width // 64,
        num_channels=channels,
        image_size=patch * math.isqrt(positions - 1),
        patch_size=patch,
        hidden_act='quick_gelu',
    )


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one file, checking it against the model before anything is written.

    Args:
        src: Weights of the authors, a file or a URL.
        dst: Folder to write.
        config_path: Not needed.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of Alpha-CLIP.
    """
    weights = load_checkpoint_file(src, trust=trust)['state_dict']
    if not {PICTURE, MASK, 'transformer.resblocks.0.mlp.c_fc.weight'} <= weights.keys():
        raise ValueError(
            f'{src} is not the vision tower of Alpha-CLIP: it lacks {PICTURE} or {MASK}'
        )
    converted = convert(weights)
    transformers = import_extra('transformers')
    config = transformers.CLIPVisionConfig(**visible_settings(converted))
    model = transformers.CLIPVisionModel(config)
    # transformers < 5 wraps the tower once more
    load_exactly(getattr(model, 'vision_model', model), converted, source=src)
    model.save_pretrained(dst)
    return f'{len(converted)} tensors written to {dst}'


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
