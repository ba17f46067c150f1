"""Serve a web page for a model, until Ctrl-C.

mmdiffseg serve nuclei
mmdiffseg serve MODEL_FOLDER --port 9000
mmdiffseg serve nuclei_onnx

A folder that `mmdiffseg export` has written is run without torch.
The page has no password. It listens at an address that no other machine can reach; give another
--host in a network that you trust, and nowhere else.
"""

import argparse
from pathlib import Path
from typing import Any

from mmdiffseg.commands.model_option import add_model, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (%(default)s)')
    parser.add_argument('--port', type=int, default=8000, help='0 takes a free one (%(default)s)')


def run(args: argparse.Namespace) -> None:
    """Load the model and serve its page."""
    from mmdiffseg.apis.serve import serve

    serve(_load(args), host=args.host, port=args.port)


def _load(args: argparse.Namespace) -> Any:
    """Load a model, exported or not.

    Raises:
        ValueError: An option does not go with an exported model.
    """
    from mmdiffseg.runtime.folder import LOOP_FILE

    if not (Path(args.model) / LOOP_FILE).is_file():
        return load_model(args)
    fixed = dict(checkpoint=None, device=None, precision='fp32')
    for name, value in fixed.items():
        if getattr(args, name) != value:
            raise ValueError(f'{args.model} is an exported model: leave --{name} out')
    from mmdiffseg.runtime import load

    return load(args.model)
