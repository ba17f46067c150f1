"""Tell what a model is and what can be set.

mmdiffseg info nuclei
"""

import argparse

from mmdiffseg.commands.model_option import add_model, load_model, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """Load the model and tell."""
    segmenter = load_model(args)
    model = segmenter.model
    parts = [name for name in ('decode_head', 'panoptic_head') if hasattr(model, name)]
    facts = dict(
        model=args.model,
        type=type(model).__name__,
        head=type(getattr(model, parts[0])).__name__ if parts else None,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        classes=segmenter.meta['classes'],
        **segmenter.settings,
        guarantee=segmenter.meta.get('guarantee'),
    )
    tell({name: value for name, value in facts.items() if value is not None}, as_json=args.json)
