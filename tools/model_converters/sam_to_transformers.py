"""Convert a checkpoint of Segment Anything to a folder of transformers.

    python tools/model_converters/sam_to_transformers.py sam_vit_h_4b8939.pth checkpoints/sam-vit-h
    python tools/model_converters/sam_to_transformers.py sam_vit_h_4b8939.pth --check

The size of the model (ViT-B, L, H) is read off the weights. ``--check`` compares their names and
shapes with the model and writes nothing.
"""

import re
from typing import TYPE_CHECKING

from torch import Tensor

from mmdiffseg.engine import command_line
from mmdiffseg.engine.to_folder import load_weights, make_parser, parse_args, shapes_of
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.weights import load_exactly

if TYPE_CHECKING:
    from transformers import SamConfig, SamModel

# applied one after the other
RULES = [
    (r'^image_encoder\.', 'vision_encoder.'),
    (r'\.patch_embed\.proj\.', '.patch_embed.projection.'),
    (r'^vision_encoder\.blocks\.', 'vision_encoder.layers.'),
    (r'^(vision_encoder\.layers\.\d+)\.norm', r'\1.layer_norm'),
    (r'\.neck\.0\.', '.neck.conv1.'),
    (r'\.neck\.1\.', '.neck.layer_norm1.'),
    (r'\.neck\.2\.', '.neck.conv2.'),
    (r'\.neck\.3\.', '.neck.layer_norm2.'),
    (r'\.point_embeddings\.', '.point_embed.'),
    (r'\.mask_downscaling\.0\.', '.mask_embed.conv1.'),
    (r'\.mask_downscaling\.1\.', '.mask_embed.layer_norm1.'),
    (r'\.mask_downscaling\.3\.', '.mask_embed.conv2.'),
    (r'\.mask_downscaling\.4\.', '.mask_embed.layer_norm2.'),
    (r'\.mask_downscaling\.6\.', '.mask_embed.conv3.'),
    (r'(mask_decoder\.transformer\.layers\.\d+)\.norm', r'\1.layer_norm'),
    (r'\.norm_final_attn\.', '.layer_norm_final_attn.'),
    (r'\.output_upscaling\.0\.', '.upscale_conv1.'),
    (r'\.output_upscaling\.1\.', '.upscale_layer_norm.'),
    (r'\.output_upscaling\.3\.', '.upscale_conv2.'),
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.0\.', r'\1.proj_in.'),
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.1\.', r'\1.layers.0.'),
    (r'(output_hypernetworks_mlps\.\d|iou_prediction_head)\.layers\.2\.', r'\1.proj_out.'),
    (r'\.pe_layer\.positional_encoding_gaussian_matrix$', '.shared_embedding.positional_embedding'),
]
POSITIONS = 'shared_embedding.positional_embedding'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict; the matrix of positions is used in two places."""
    converted = {}
    for name, value in weights.items():
        if name in ('pixel_mean', 'pixel_std'):
            continue
        for pattern, replacement in RULES:
            name = re.sub(pattern, replacement, name)
        converted[name] = value.float()
    converted['shared_image_embedding.positional_embedding'] = converted[
        f'prompt_encoder.{POSITIONS}'
    ]
    return converted


def config_of(weights: dict[str, Tensor]) -> 'SamConfig':
    """Read the sizes of a model off its converted state dict."""
    patch = weights['vision_encoder.patch_embed.projection.weight']  # (D, 3, p, p)
    grid = weights['vision_encoder.pos_embed'].shape[1]  # (1, g, g, D)
    out_channels = len(weights['vision_encoder.neck.conv1.weight'])
    tables = []  # relative positions of each layer (2 s - 1, D / heads)
    while (name := f'vision_encoder.layers.{len(tables)}.attn.rel_pos_h') in weights:
        tables.append(weights[name])
    spans = [(len(table) + 1) // 2 for table in tables]
    image_size = grid * patch.shape[-1]
    return import_extra('transformers').SamConfig(
        vision_config=dict(
            hidden_size=len(patch),
            output_channels=out_channels,
            num_hidden_layers=len(tables),
            num_attention_heads=len(patch) // tables[0].shape[1],
            image_size=image_size,
            patch_size=patch.shape[-1],
            window_size=min(spans),
            global_attn_indexes=[i for i, span in enumerate(spans) if span == grid],
            mlp_dim=len(weights['vision_encoder.layers.0.mlp.lin1.weight']),
            num_pos_feats=out_channels // 2,
        ),
        prompt_encoder_config=dict(
            hidden_size=out_channels,
            image_size=image_size,
            patch_size=patch.shape[-1],
            mask_input_channels=len(weights['prompt_encoder.mask_embed.conv2.weight']),
        ),
        mask_decoder_config=dict(
            hidden_size=out_channels,
            mlp_dim=len(weights['mask_decoder.transformer.layers.0.mlp.lin1.weight']),
            iou_head_hidden_dim=len(weights['mask_decoder.iou_prediction_head.proj_in.weight']),
        ),
    )


def build(weights: dict[str, Tensor], *, source: str) -> 'SamModel':
    """Build the model of a state dict in the authors' names.

    Args:
        weights: The state dict, or its shapes on the meta device.
        source: Where it comes from, for messages.

    Raises:
        ValueError: It is not of a Segment Anything.
    """
    if 'image_encoder.patch_embed.proj.weight' not in weights:
        raise ValueError(
            f'{source} is not a Segment Anything checkpoint: it lacks '
            'image_encoder.patch_embed.proj.weight'
        )
    weights = convert(weights)
    config = config_of(weights)
    with next(iter(weights.values())).device:
        model = import_extra('transformers').SamModel(config)
    load_exactly(model, weights, source=source)
    return model


def main() -> None:
    """Read the command line; what is wrong with the input ends it in one sentence."""
    args = parse_args(make_parser(__doc__.splitlines()[0]))
    try:
        weights = load_weights(args.src, trust=args.trust)
        if args.check:
            weights = shapes_of(weights)
        model = build(weights, source=args.src)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f'{args.src}: {len(model.state_dict())} tensors fit {model.config.vision_config}')
    if args.dst:
        model.save_pretrained(args.dst)


if __name__ == '__main__':
    command_line.run_script(main)
