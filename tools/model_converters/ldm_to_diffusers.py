"""Convert a single-file Stable Diffusion 1.x to a folder of diffusers.

    python tools/model_converters/ldm_to_diffusers.py v1-5-pruned.ckpt checkpoints/sd --weights ema
    python tools/model_converters/ldm_to_diffusers.py v1-5-pruned.ckpt --check --weights plain

A file with both has two U-Nets, the one that was trained and its moving average: ``--weights`` says
which to take, ``plain`` or ``ema``. (Ref-Diff's released code takes the plain one, the hub's folder
of Stable Diffusion 1.5 has the average.) The folder gets the tokenizer as well. ``--check``
compares names and shapes with the models and writes nothing.
"""

import json
from typing import Any

from torch import Tensor, nn

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

UNET, TEXT, EMA = 'model.diffusion_model.', 'cond_stage_model.transformer.', 'model_ema.'
# of Stable Diffusion 1.x; what is not named is diffusers' default
CONFIGS = dict(
    unet=dict(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        cross_attention_dim=768,
        attention_head_dim=8,
    ),
    vae=dict(
        sample_size=512,
        block_out_channels=(128, 256, 512, 512),
        down_block_types=('DownEncoderBlock2D',) * 4,
        up_block_types=('UpDecoderBlock2D',) * 4,
        layers_per_block=2,
    ),
    text_encoder=dict(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        projection_dim=768,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=1,
    ),
    scheduler=dict(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule='scaled_linear',
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ),
)
CLASSES = dict(
    unet=('diffusers', 'UNet2DConditionModel'),
    vae=('diffusers', 'AutoencoderKL'),
    text_encoder=('transformers', 'CLIPTextModel'),
    tokenizer=('transformers', 'CLIPTokenizer'),
    scheduler=('diffusers', 'DDIMScheduler'),
)


def without_average(weights: dict[str, Tensor], choice: str | None, *, source: str) -> dict:
    """Leave one U-Net in a state dict, by the choice of ``'plain'`` or ``'ema'``.

    Raises:
        ValueError: There are two and no choice, or the choice is not there.
    """
    averaged = {name for name in weights if name.startswith(EMA)}
    if averaged and choice is None:
        raise ValueError(
            f'{source} has a U-Net and its moving average: choose by --weights plain or ema'
        )
    if choice == 'ema' and not averaged:
        raise ValueError(f'{source} has no moving average ({EMA}*): leave --weights ema out')
    rest = {name: value for name, value in weights.items() if name not in averaged}
    if choice == 'ema':
        for name in rest:
            if name.startswith(UNET):
                # the average has the names of the model, without points
                rest[name] = weights[EMA + name.removeprefix('model.').replace('.', '')]
    return rest


def build(
    weights: dict[str, Tensor],
    *,
    source: str,
    configs: dict[str, dict[str, Any]] = CONFIGS,
) -> dict[str, nn.Module]:
    """Build U-Net, autoencoder and text encoder of a state dict in the names of LDM.

    Args:
        weights: State dict with one U-Net, or its shapes on the meta device.
        source: Where it comes from, for messages.
        configs: Of the models.

    Raises:
        ValueError: It is not of such a model.
    """
    if f'{UNET}input_blocks.0.0.weight' not in weights:
        raise ValueError(
            f'{source} is not a Stable Diffusion checkpoint: it lacks {UNET}input_blocks.0.0.weight'
        )
    from diffusers.loaders import single_file_utils as diffusers_names

    models = {}
    for part in ('unet', 'vae', 'text_encoder'):
        library, name = CLASSES[part]
        kind = getattr(import_extra(library), name)
        with next(iter(weights.values())).device:
            config = configs[part]
            models[part] = (
                kind(kind.config_class(**config)) if library == 'transformers' else kind(**config)
            )
    text = {
        name.removeprefix(TEXT): value
        for name, value in weights.items()
        if name.startswith(TEXT) and not name.endswith('.position_ids')
    }
    if not any(name.startswith('text_model.') for name in models['text_encoder'].state_dict()):
        text = {name.removeprefix('text_model.'): value for name, value in text.items()}
    converted = dict(
        unet=diffusers_names.convert_ldm_unet_checkpoint(weights, models['unet'].config),
        vae=diffusers_names.convert_ldm_vae_checkpoint(weights, models['vae'].config),
        text_encoder=text,
    )
    for part, model in models.items():
        own = {name: value.float() for name, value in converted[part].items()}
        load_exactly(model, own, source=f'the {part} in {source}')
    return models


def main() -> None:
    """Read the command line; what is wrong with the input ends it in one sentence."""
    parser = make_parser(__doc__.splitlines()[0])
    parser.add_argument('--weights', choices=['plain', 'ema'], help='which of two U-Nets')
    args = parse_args(parser)
    try:
        weights = load_weights(args.src, trust=args.trust)
        if args.check:
            weights = shapes_of(weights)
        weights = without_average(weights, args.weights, source=args.src)
        models = build(weights, source=args.src)
        for part, model in models.items():
            millions = sum(p.numel() for p in model.parameters()) / 1e6
            print(f'{part}: {millions:.2f} M parameters, all there')
        if args.dst:
            write_clip_tokenizer(args.dst / 'tokenizer')
            for part, model in models.items():
                model.save_pretrained(args.dst / part)
            scheduler = import_extra('diffusers').DDIMScheduler(**CONFIGS['scheduler'])
            scheduler.save_pretrained(args.dst / 'scheduler')
            index = {'_class_name': 'StableDiffusionPipeline', **CLASSES}
            index |= dict.fromkeys(('safety_checker', 'feature_extractor'), (None, None))
            (args.dst / 'model_index.json').write_text(json.dumps(index, indent=2))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    command_line.run_script(main)
