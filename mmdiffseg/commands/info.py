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
    from mmdiffseg.engine.model_head import model_head

    segmenter = load_model(args)
    model = segmenter.model
    head = model_head(model)
    facts = dict(
        model=args.model,
        type=type(model).__name__,
        head=None if head is None else type(head).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        classes=segmenter.meta['classes'],
        **segmenter.settings,
        guarantee=segmenter.meta.get('guarantee'),
    )
    tell({name: value for name, value in facts.items() if value is not None}, as_json=args.json)
