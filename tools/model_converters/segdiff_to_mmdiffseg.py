"""Convert a checkpoint that the SegDiff authors' code wrote.

    python tools/model_converters/segdiff_to_mmdiffseg.py SRC DST [--config CONFIG]

SRC is any weight file of a run: ``model*.pt``, ``ema.pt``, ``ema_val_*.pt`` or ``ema_model_*.pt``.
The shapes of its weights give the network. Its other settings (attention heads, dropout, noise
schedule, time steps, ...) come from the run's ``args.json`` beside it, or from CONFIG if there is
none. CONFIG also names the data of a run that is no published recipe. DST gets the weights under
mmdiffseg's names, and the classes, the palette and the config as ``meta``.
"""

import shlex
from copy import deepcopy
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.datasets.files import read_json
from mmdiffseg.diffusion.discrete import discrete_time_pairs, space_timesteps
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint
from mmdiffseg.registry import NOISE_SCHEDULES, SAMPLERS

CONFIGS = Path(__file__).parents[2] / 'configs' / 'segdiff'
# (levels, RRDB blocks) of the published recipes
RECIPES = {(6, 15): 'cityscapes', (7, 6): 'vaihingen', (7, 12): 'monuseg'}
HEAD = 'decode_head'
UNET = 'decode_head.denoiser'
SCHEDULE = 'decode_head.noise_schedule'
SAMPLER = 'decode_head.diffusion_sampler'
# options that every args.json has
REQUIRED = ('num_heads', 'dropout', 'diffusion_steps')
# options with the same values in both codes -> part and name in the config
COMMON = {
    'num_heads': (UNET, 'num_heads'),
    'dropout': (UNET, 'dropout'),
    'diffusion_steps': (SCHEDULE, 'num_timesteps'),
    'clip_denoised': (HEAD, 'clip_denoised'),
}
SCHEDULES = {'linear': 'mmdiffseg.LinearBetas', 'cosine': 'mmdiffseg.CosineBetas'}
VARIANCES = {False: 'fixed_large', True: 'fixed_small'}
# part of the model -> name of an argument -> its value
Settings = dict[str, dict[str, Any]]


def read_args(path: Path) -> dict[str, Any]:
    """Read the options of a run.

    Raises:
        ValueError: The file holds none; the sentence names it.
    """
    args = read_json(path)
    if not isinstance(args, dict):
        raise ValueError(f'{path} holds no options by their names: is it of a SegDiff run?')
    return args


def rename(name: str) -> str:
    """Map a name of the authors' model to ours."""
    if name.startswith('rrdb.'):
        return name.replace('rrdb.', 'backbone.', 1)
    return f'decode_head.denoiser.{name}'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict and copy its tensors, which may be views into one storage, as float32."""
    return {rename(k): v.to(torch.float32, copy=True) for k, v in weights.items()}


def visible_settings(weights: dict[str, Tensor]) -> Settings:
    """Read the network off the names and shapes of a converted state dict."""
    levels = [[]]  # names of the residual blocks of each level
    for i in count(1):
        block = f'{UNET}.input_blocks.{i}'
        if f'{block}.0.op.weight' in weights:
            levels.append([])
        elif f'{block}.0.out_layers.3.weight' in weights:
            levels[-1].append(block)
        else:
            break
    stem = weights[f'{UNET}.input_blocks.0.0.weight']  # (C, mask channels, 3, 3)
    width = len(stem)
    trunk = {name.split('.')[2] for name in weights if name.startswith('backbone.RRDB_trunk.')}
    settings = {
        'backbone': dict(out_channels=width, num_blocks=len(trunk)),
        HEAD: dict(in_channels=width),
        UNET: dict(
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
    if len(weights[f'{UNET}.out.2.weight']) == 2 * stem.shape[1]:
        settings[HEAD]['learn_variance'] = True
        settings[SAMPLER] = dict(variance='learned_range')
    time_layer = weights[f'{levels[0][0]}.0.emb_layers.1.weight']
    if len(time_layer) == 2 * len(weights[f'{levels[0][0]}.0.out_layers.3.weight']):
        settings[UNET]['scale_shift'] = True
    return settings


def hidden_settings(
    args: dict[str, Any], source: Path, *, learn_variance: bool
) -> dict[str, Settings]:
    """Translate the options of a run that the shapes of its weights do not show.

    Args:
        args: Options of the run.
        source: File that they come from.
        learn_variance: Whether the network learned the variance of its steps.

    Returns:
        For each option the settings that it means.

    Raises:
        ValueError: An option is missing, or no settings have its meaning.
    """
    for option in REQUIRED:
        if option not in args:
            raise ValueError(f'{source} has no {option!r}: is it the args.json of a SegDiff run?')
    refused = refusals(args)
    if refused:
        raise ValueError('\n'.join(f'{source} has {sentence}' for sentence in refused))
    settings = {
        option: {part: {name: args[option]}}
        for option, (part, name) in COMMON.items()
        if option in args
    }
    if 'num_heads_upsample' in args:
        heads = args['num_heads_upsample']
        heads = None if heads in (-1, args['num_heads']) else heads
        settings['num_heads_upsample'] = {UNET: dict(num_heads_upsample=heads)}
    if 'noise_schedule' in args:
        settings['noise_schedule'] = {SCHEDULE: dict(type=SCHEDULES[args['noise_schedule']])}
    if 'predict_xstart' in args:
        predicted = 'x0' if args['predict_xstart'] else 'eps'
        settings['predict_xstart'] = {HEAD: dict(prediction_type=predicted)}
    if 'sigma_small' in args and not learn_variance:
        settings['sigma_small'] = {SAMPLER: dict(variance=VARIANCES[args['sigma_small']])}
    if args.get('timestep_respacing'):
        steps, spacing = sampled_times(args)
        settings['timestep_respacing'] = {
            HEAD: dict(steps=steps),
            SAMPLER: dict(spacing=spacing),
        }
    return settings


def refusals(args: dict[str, Any]) -> list[str]:
    """Say of every option without a counterpart what it does, and which value can be converted."""
    steps, schedule = args['diffusion_steps'], args.get('noise_schedule', 'linear')
    sentences = []
    if args.get('rescale_timesteps') and steps != 1000:
        sentences.append(
            f'rescale_timesteps=True: the network has seen times scaled by 1000 / {steps}, but '
            'SegDiffUNet takes unscaled ones; only runs with rescale_timesteps=False or '
            'diffusion_steps=1000 can be converted'
        )
    if schedule not in SCHEDULES:
        sentences.append(
            f'noise_schedule={schedule!r}: only runs with one of {list(SCHEDULES)} can be converted'
        )
    if args.get('timestep_respacing') and sampled_times(args) is None:
        sentences.append(
            f'timestep_respacing={args["timestep_respacing"]!r}: no spacing of the sampler takes '
            "these times; set it to '' in args.json to convert the run with its full chain"
        )
    return sentences


def sampled_times(args: dict[str, Any]) -> tuple[int, str] | None:
    """Find the steps and the spacing of our sampler that take the times of a respaced run."""
    num_timesteps = args['diffusion_steps']
    times = space_timesteps(num_timesteps, args['timestep_respacing'])
    for spacing in ('uniform', 'leading'):
        pairs = discrete_time_pairs(num_timesteps, len(times), spacing=spacing)
        if [now for now, _ in reversed(pairs)] == times:
            return len(times), spacing
    return None


def training_notes(args: dict[str, Any], *, learn_variance: bool) -> list[str]:
    """Say which options change nothing but the loss of further training."""
    notes = []
    if args.get('use_kl'):
        notes.append(
            'use_kl=True: the network was trained by the variational bound alone; training it '
            'further here minimises the squared error of the noise'
        )
    elif args.get('rescale_learned_sigmas') and learn_variance:
        notes.append(
            f'rescale_learned_sigmas=True: the bound had the weight {args["diffusion_steps"]} / '
            '1000 in training; training it further here gives it the weight 1'
        )
    return notes


def published_config(settings: Settings, args: dict[str, Any]) -> Path:
    """Find the config of a published recipe by the network and the class of its objects.

    Raises:
        ValueError: No published recipe has this network and class.
    """
    levels = len(settings[UNET]['channel_mult'])
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
        The settings that the config did not have, as ``--cfg-options`` takes them.
    """
    options = []
    for part, values in settings.items():
        node = config.model
        for name in part.split('.'):
            if name not in node:
                node[name] = deepcopy(stated(node, name))
            node = node[name]
        for name, value in values.items():
            if name == 'variance' and name not in parameters_of(node):
                continue  # CONFIG chose a sampler that adds no noise
            if stated(node, name) != value:
                node[name] = value
                options.append(f'model.{part}.{name}={value}'.replace(' ', ''))
    return options


def stated(node: ConfigDict, name: str) -> Any:
    """Value of an argument in the config of a module, or its default."""
    return node[name] if name in node else parameters_of(node)[name].default


def parameters_of(node: ConfigDict) -> dict[str, Any]:
    """Constructor parameters of the module that a config describes."""
    found = (registry.get(node.type) for registry in (NOISE_SCHEDULES, SAMPLERS, MODELS))
    return signature(next(filter(None, found))).parameters


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint; nothing is written unless it fits the model.

    Args:
        src: Checkpoint of the authors' code, a file or a URL.
        dst: File to write.
        config_path: Config that names the data of a run that is no published recipe, and holds
            what the shapes do not show if there is no ``args.json``.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        A description of what was done, and of what the config has to be told.

    Raises:
        ValueError: The weights do not fit the model or any published recipe, or the run had
            options that have no counterpart.
    """
    weights = convert(load_checkpoint_file(src, trust=trust)['state_dict'])
    if not {'backbone.conv_first.weight', f'{UNET}.out.2.weight'} <= weights.keys():
        raise ValueError(
            f'{src} is not a SegDiff checkpoint: it lacks rrdb.conv_first.weight or out.2.weight'
        )
    visible, args, hidden, notes = visible_settings(weights), {}, {}, []
    learn_variance = visible[HEAD].get('learn_variance', False)
    args_file = Path(src).with_name('args.json')
    if args_file.exists():
        args = read_args(args_file)
        hidden = hidden_settings(args, args_file, learn_variance=learn_variance)
        notes = training_notes(args, learn_variance=learn_variance)
    elif config_path is None:
        raise ValueError(
            f'{src} does not show the attention heads, the dropout and the time steps: put the '
            "run's args.json beside it, or name a config that has them with --config"
        )
    config = read_model_config(config_path or published_config(visible, args))
    options = apply_settings(config, visible)
    for option, settings in hidden.items():
        told = apply_settings(config, settings)
        if told:
            notes.append(f'{option}={args[option]!r}: set {" ".join(told)}')
        options += told
    lines = [write_checkpoint(weights, config, src=src, dst=dst)]
    lines += [f'{args_file} has {note}' for note in notes]
    if options:
        lines.append(f'use it with --cfg-options {shlex.join(options)}')
    return '\n'.join(lines)


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
