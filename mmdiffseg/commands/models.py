"""List the models that come with the package.

mmdiffseg models
"""

import argparse

from mmdiffseg.commands.model_option import tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """List the models, each with the first sentence of its card."""
    from mmdiffseg.apis.load import shipped_models
    from mmdiffseg.apis.model_folder import read_model_folder

    found = {}
    for name, folder in shipped_models().items():
        model = read_model_folder(folder)
        size = model.weights.stat().st_size / 1e6
        found[name] = f'{model.meta.get("card", {}).get("summary", "")} ({size:.1f} MB)'.strip()
    if not found and not args.json:
        print('No model comes with this version: load one from a folder or from the Hub.')
    tell(found, as_json=args.json)
