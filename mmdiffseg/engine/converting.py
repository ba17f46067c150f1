"""Shared by the converters of segmentation checkpoints: strict check, writing, command line."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor

import mmdiffseg
from mmdiffseg.engine import command_line
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.output_dir import check_writable


def read_model_config(
    path: str | Path, needed: Sequence[str] = ('model', 'default_scope', 'test_dataloader')
) -> Config:
    """Read the config of a model.

    Args:
        path: Its file.
        needed: What the converter reads of it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no config, or not that of a model and its data.
    """
    config = command_line.read_config(str(path), {})
    for setting in needed:
        if setting not in config:
            raise ValueError(f'{path} has no {setting}: give the config of a model and its data')
    return config


def write_checkpoint(
    weights: dict[str, Tensor], config: Config, *, src: str, dst: Path, fresh: str | None = None
) -> str:
    """Load weights into the model of a config, then write them as a checkpoint of mmdiffseg.

    Args:
        weights: State dict under the model's names.
        config: Config of the model and of its training data.
        src: Source of the weights, for messages and ``meta``.
        dst: File to write.
        fresh: Regular expression that matches the start of each name that may be missing from the
            weights; those tensors are taken from the newly built model.

    Returns:
        A sentence about what was done.

    Raises:
        ValueError: The weights do not fit the model.
    """
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    load_exactly(model, weights, source=src, fresh=fresh)
    dataset = config.test_dataloader.dataset
    with DATASETS.switch_scope_and_registry(config.default_scope) as registry:
        classes = {**registry.get(dataset.type).METAINFO, **dataset.get('metainfo', {})}
    head = model_head(model)
    encoder = head.label_encoder
    weights = {name: weights.get(name, value) for name, value in model.state_dict().items()}
    meta = dict(
        mmdiffseg_version=mmdiffseg.__version__,
        source=src,
        cfg=config.pretty_text,
        dataset_meta=dict(classes=classes['classes'], palette=classes.get('palette')),
    )
    # diffusion of the labels themselves has no encoder but its schedule
    if encoder is not head.noise_schedule:
        meta['label_encoder'] = dict(
            type=f'mmdiffseg.{type(encoder).__name__}', scale=encoder.scale
        )
    dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights, meta=meta), dst)
    return f'{len(weights)} tensors of {Path(config.filename).stem} written to {dst}'


def run(convert_file: Callable[..., str], description: str) -> None:
    """Read the command line and convert; bad input ends the program with one sentence.

    Args:
        convert_file: Called with source, destination, config and ``trust``; returns a sentence
            about what it did.
        description: Description of the converter for ``--help``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('src', help='checkpoint of the authors, a file or a URL')
    parser.add_argument('dst', type=Path, help='file to write; must not exist')
    parser.add_argument('--config', help='config of the model, where it is not a released one')
    parser.add_argument('--trust', action='store_true', help='read a file that could run code')
    args = parser.parse_args()
    if args.dst.exists():
        parser.error(f'{args.dst} exists and is not overwritten: choose another name')
    try:
        check_writable(args.dst)
        print(convert_file(args.src, args.dst, args.config, trust=args.trust))
    except (OSError, ValueError) as error:
        parser.exit(2, f'{error}\n')
