"""Serve a web page for a model, until Ctrl-C.

mmdiffseg serve nuclei
mmdiffseg serve MODEL_FOLDER --port 9000

The page has no password. It listens at an address that no other machine can reach; give another
--host in a network that you trust, and nowhere else.
"""

import argparse

from mmdiffseg.commands.model_option import add_model, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (%(default)s)')
    parser.add_argument('--port', type=int, default=8000, help='0 takes a free one (%(default)s)')


def run(args: argparse.Namespace) -> None:
    """Load the model and serve its page."""
    from mmdiffseg.apis.serve import serve

    serve(load_model(args), host=args.host, port=args.port)
