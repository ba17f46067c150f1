r"""Convert a checkpoint of OpenAI's CLIP (a vision transformer) to a folder of transformers.

    python tools/model_converters/openai_clip_to_transformers.py ViT-B-16.pt checkpoints/clip-b-16 \
        --trust
    python tools/model_converters/openai_clip_to_transformers.py ViT-B-16.pt --check --trust

SRC is the archive that OpenAI published, or a file with its state dict; the size of the model is
read off the weights. The archive is a program, hence ``--trust``. The folder gets the tokenizer as
well. ``--check`` compares names and shapes with the model and writes nothing.
"""

import re
import zipfile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmdiffseg.engine import command_line
from mmdiffseg.engine.to_folder import (
    load_weights,
    make_parser,
    parse_args,
    shapes_of,
    write_clip_tokenizer,
)
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.weights import load_exactly

if TYPE_CHECKING:
    from transformers import CLIPConfig, CLIPModel

NOT_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size')
HEAD_WIDTH = 64  # in every CLIP
# applied one after the other; what is not of the visual part is of the text part
RULES = [
    (r'^visual\.conv1\.', 'vision_model.embeddings.patch_embedding.'),
    (r'^visual\.class_embedding$', 'vision_model.embeddings.class_embedding'),
    (r'^visual\.positional_embedding$', 'vision_model.embeddings.position_embedding.weight'),
    (r'^visual\.ln_pre\.', 'vision_model.pre_layrnorm.'),  # transformers' spelling
    (r'^visual\.ln_post\.', 'vision_model.post_layernorm.'),
    (r'^visual\.proj$', 'visual_projection.weight'),
    (r'^visual\.transformer\.resblocks\.', 'vision_model.encoder.layers.'),
    (r'^token_embedding\.', 'text_model.embeddings.token_embedding.'),
    (r'^positional_embedding$', 'text_model.embeddings.position_embedding.weight'),
    (r'^transformer\.resblocks\.', 'text_model.encoder.layers.'),
    (r'^ln_final\.', 'text_model.final_layer_norm.'),
    (r'^text_projection$', 'text_projection.weight'),
    (r'\.ln_(\d)\.', r'.layer_norm\1.'),
    (r'\.mlp\.c_fc\.', '.mlp.fc1.'),
    (r'\.mlp\.c_proj\.', '.mlp.fc2.'),
    (r'\.attn\.out_proj\.', '.self_attn.out_proj.'),
]
TRANSPOSED = ('visual_projection.weight', 'text_projection.weight')


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict, cutting the projections of queries, keys and values apart."""
    converted = {}
    for name, value in weights.items():
        if name in NOT_WEIGHTS:
            continue
        for pattern, replacement in RULES:
            name = re.sub(pattern, replacement, name)
        value = value.float()
        if match := re.fullmatch(r'(.*)\.attn\.in_proj_(weight|bias)', name):
            for part, own in zip('qkv', value.chunk(3), strict=True):
                converted[f'{match[1]}.self_attn.{part}_proj.{match[2]}'] = own.clone()
        else:
            converted[name] = value.T.contiguous() if name in TRANSPOSED else value
    return converted


def config_of(weights: dict[str, Tensor]) -> 'CLIPConfig':
    """Read the sizes of a model off its converted state dict."""
    parts = {}
    for part in ('vision', 'text'):
        encoder = f'{part}_model.encoder.layers'
        width = len(weights[f'{encoder}.0.layer_norm1.weight'])
        parts[part] = dict(
            hidden_size=width,
            intermediate_size=len(weights[f'{encoder}.0.mlp.fc1.weight']),
            num_hidden_layers=sum(
                bool(re.fullmatch(rf'{encoder}\.\d+\.layer_norm1\.weight', name))
                for name in weights
            ),
            num_attention_heads=width // HEAD_WIDTH,
            hidden_act='quick_gelu',
        )
    patch = weights['vision_model.embeddings.patch_embedding.weight'].shape[-1]
    positions = len(weights['vision_model.embeddings.position_embedding.weight'])
    parts['vision'].update(patch_size=patch, image_size=round((positions - 1) ** 0.5) * patch)
    words = len(weights['text_model.embeddings.token_embedding.weight'])
    parts['text'].update(
        vocab_size=words,
        max_position_embeddings=len(weights['text_model.embeddings.position_embedding.weight']),
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    return import_extra('transformers').CLIPConfig(
        vision_config=parts['vision'],
        text_config=parts['text'],
        projection_dim=len(weights['visual_projection.weight']),
    )


def build(weights: dict[str, Tensor], *, source: str) -> 'CLIPModel':
    """Build the model of a state dict in OpenAI's names.

    Args:
        weights: The state dict, or its shapes on the meta device.
        source: Where it comes from, for messages.

    Raises:
        ValueError: It is not of a CLIP with a vision transformer.
    """
    if 'visual.class_embedding' not in weights:
        raise ValueError(
            f'{source} is not a CLIP with a vision transformer: it lacks visual.class_embedding'
        )
    weights = convert(weights)
    with next(iter(weights.values())).device:
        model = import_extra('transformers').CLIPModel(config_of(weights))
    load_exactly(model, weights, source=source)
    return model


def load_openai(path: str, *, trust: bool) -> dict[str, Tensor]:
    """Read the state dict of OpenAI's archive, or of a plain file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_program = any(name.endswith('/constants.pkl') for name in archive.namelist())
        if is_program and not trust:
            raise ValueError(
                f'{path} is a TorchScript program, which can run code when read: if you trust '
                'where it comes from, allow that with `--trust`'
            )
        if is_program:
            try:
                return torch.jit.load(path, map_location='cpu').state_dict()
            except RuntimeError as error:
                raise ValueError(f'{path} is damaged or not TorchScript: {error}') from error
    return load_weights(path, trust=trust)


def main() -> None:
    """Read the command line; what is wrong with the input ends it in one sentence."""
    args = parse_args(make_parser(__doc__.splitlines()[0]))
    try:
        weights = load_openai(args.src, trust=args.trust)
        if args.check:
            weights = shapes_of(weights)
        model = build(weights, source=args.src)
        print(f'{args.src}: {len(model.state_dict())} tensors fit {model.config}')
        if args.dst:
            write_clip_tokenizer(args.dst)
            model.save_pretrained(args.dst)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    command_line.run_script(main)
