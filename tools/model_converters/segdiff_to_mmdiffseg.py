"""Convert a checkpoint that the SegDiff authors' code wrote.

    python tools/model_converters/segdiff_to_mmdiffseg.py SRC DST [--config CONFIG]

SRC is any of the weight files of a run: ``model*.pt``, ``ema.pt``, ``ema_val_*.pt`` or
``ema_model_*.pt``. The network is read from the shapes in it; its attention heads, dropout and time
steps, which shapes do not show, from the run's ``args.json`` beside it, or else from CONFIG, which
also names the data where the run is not one of the published recipes. DST gets the weights under
mmdiffseg's names, and as ``meta`` the classes, the palette and the config.
"""

import json
import shlex
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine.converting import run, write_checkpoint

CONFIGS = Path(__file__).parents[2] / 'configs' / 'segdiff'
# (levels, RRDB blocks) of the published recipes
RECIPES = {(6, 15): 'cityscapes', (7, 6): 'vaihingen', (7, 12): 'monuseg'}
# name in args.json -> part and name in the config
HIDDEN_SETTINGS = {
    'num_heads': ('decode_head.denoiser', 'num_heads'),
    'dropout': ('decode_head.denoiser', 'dropout'),
    'diffusion_steps': ('decode_head.noise_schedule', 'num_timesteps'),
}
# part of the model -> name of an argument -> its value
Settings = dict[str, dict[str, Any]]


def rename(name: str) -> str:
    """Map a name of the authors' model to ours."""
    if name.startswith('rrdb.'):
        return name.replace('rrdb.', 'backbone.', 1)
    return f'decode_head.denoiser.{name}'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict; float32 tensors of their own replace views into one flat storage."""
    return {rename(k): v.to(torch.float32, copy=True) for k, v in weights.items()}


def visible_settings(weights: dict[str, Tensor]) -> Settings:
    """Read the network off the names and shapes of a converted state dict."""
    unet = 'decode_head.denoiser'
    levels = [[]]  # residual blocks of each
    for i in count(1):
        block = f'{unet}.input_blocks.{i}'
        if f'{block}.0.op.weight' in weights:
            levels.append([])
        elif f'{block}.0.out_layers.3.weight' in weights:
            levels[-1].append(block)
        else:
            break
    stem = weights[f'{unet}.input_blocks.0.0.weight']  # (C, mask channels, 3, 3)
    width = len(stem)
    trunk = {name.split('.')[2] for name in weights if name.startswith('backbone.RRDB_trunk.')}
    settings = {
        'backbone': dict(out_channels=width, num_blocks=len(trunk)),
        'decode_head': dict(in_channels=width),
        'decode_head.denoiser': dict(
            model_channels=width,
            channel_mult=tuple(
                len(weights[f'{blocks[0]}.0.out_layers.3.weight']) // width for blocks in levels
            ),
            num_res_blocks=len(levels[0]),
            attention_downsample=tuple(
                2**i for i, blocks in enumerate(levels) if f'{blocks[0]}.1.qkv.weight' in weights
            ),
        ),
    }
    if len(weights[f'{unet}.out.2.weight']) == 2 * stem.shape[1]:
        settings['decode_head']['learn_variance'] = True
        settings['decode_head.diffusion_sampler'] = dict(variance='learned_range')
    return settings


def hidden_settings(args: dict[str, Any], source: Path) -> Settings:
    """Pick what the shapes do not show from a run's arguments.

    Raises:
        ValueError: One of them is missing.
    """
    settings = {}
    for name, (part, ours) in HIDDEN_SETTINGS.items():
        if name not in args:
            raise ValueError(f'{source} has no {name!r}: is it the args.json of a SegDiff run?')
        settings.setdefault(part, {})[ours] = args[name]
    return settings


def published_config(settings: Settings, args: dict[str, Any]) -> Path:
    """Find the config of a published recipe by the network and the class of its objects.

    Raises:
        ValueError: No published recipe is like this.
    """
    levels = len(settings['decode_head.denoiser']['channel_mult'])
    blocks = settings['backbone']['num_blocks']
    name = RECIPES.get((levels, blocks))
    if name == 'cityscapes':
        name = f'cityscapes-{args.get("class_name")}'
    path = CONFIGS / f'segdiff_{name}.py'
    if not path.exists():
        raise ValueError(
            f'no published recipe has {levels} levels, {blocks} RRDB blocks and the class '
            f'{args.get("class_name")}: name a config of its data with --config'
        )
    return path


def apply_settings(config: Config, settings: Settings) -> list[str]:
    """Write settings into a config.

    Returns:
        Those that are not the config's own, as ``--cfg-options`` takes them.
    """
    options = []
    for part, values in settings.items():
        node = config.model
        for name in part.split('.'):
            node = node[name]
        for name, value in values.items():
            if stated(node, name) != value:
                node[name] = value
                options.append(f'model.{part}.{name}={value}'.replace(' ', ''))
    return options


def stated(node: ConfigDict, name: str) -> Any:
    """Value of an argument in the config of a module, or its default."""
    return node[name] if name in node else signature(MODELS.get(node.type)).parameters[name].default


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint, checking it against the model before anything is written.

    Args:
        src: Checkpoint of the authors' code, a file or a URL.
        dst: File to write.
        config_path: Config of the data, where it is no published recipe, and of what the shapes do
            not show, where there is no ``args.json``.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of the model, or of no published recipe.
    """
    weights = convert(load_checkpoint_file(src, trust=trust)['state_dict'])
    if not {'backbone.conv_first.weight', 'decode_head.denoiser.out.2.weight'} <= weights.keys():
        raise ValueError(
            f'{src} is no SegDiff checkpoint: it lacks rrdb.conv_first.weight or out.2.weight'
        )
    settings, args = visible_settings(weights), {}
    args_file = Path(src).with_name('args.json')
    if args_file.exists():
        args = json.loads(args_file.read_text())
        for part, values in hidden_settings(args, args_file).items():
            settings.setdefault(part, {}).update(values)
    elif config_path is None:
        raise ValueError(
            f'the attention heads, the dropout and the time steps are not to be seen in {src}: put '
            f"the run's args.json beside it, or name a config that has them with --config"
        )
    config = Config.fromfile(config_path or published_config(settings, args))
    options = apply_settings(config, settings)
    done = write_checkpoint(weights, config, src=src, dst=dst)
    if options:
        done += f'; use it with --cfg-options {shlex.join(options)}'
    return done


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    main()
