"""How commands are told which model to use."""

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdiffseg.apis.segmenter import Segmenter


def add_model(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the model, which need not be given where there is a default, and how it is run."""
    words = 'name of a shipped model, model folder, owner/name[@revision] of the Hub, or config'
    if default is None:
        parser.add_argument('model', metavar='MODEL', help=words)
    else:
        parser.add_argument(
            'model', metavar='MODEL', nargs='?', default=default, help=f'{words} (%(default)s)'
        )
    parser.add_argument('--checkpoint', help='weights, where MODEL is a config (.py)')
    parser.add_argument('--device', help='such as cuda:0 or cpu; by default a GPU if there is one')
    parser.add_argument('--precision', default='fp32', help='fp32, bf16, fp16 or auto')


def load_model(args: argparse.Namespace) -> 'Segmenter':
    """Load the model that was asked for.

    Raises:
        ValueError: A config without a checkpoint, or a checkpoint without a config.
    """
    is_config = args.model.endswith('.py')
    if is_config != (args.checkpoint is not None):
        raise ValueError(
            f'{args.model} is a config: give its weights by --checkpoint'
            if is_config
            else f'{args.model} has weights of its own: leave --checkpoint out'
        )
    import torch

    from mmdiffseg.apis.load import load

    device = args.device
    if device is None and torch.cuda.is_available():
        device = f'cuda:{os.environ.get("LOCAL_RANK", 0)}'
    how = dict(device=device, precision=args.precision)
    if is_config:
        return load(config=args.model, checkpoint=args.checkpoint, **how)
    return load(args.model, **how)


def tell(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print facts by name, for people or for programs."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    width = max(map(len, facts), default=0) + 2
    for name, value in facts.items():
        print(f'{name:{width}}{value}')
