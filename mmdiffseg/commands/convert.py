"""Make a model folder of a config and a checkpoint.

mmdiffseg convert config.py checkpoint.pth FOLDER --card card.json

The folder can be loaded by its path or put on the Hugging Face Hub. The card is a JSON file with
any of name, summary, data, licence, metrics, command and limits.
"""

import argparse
import json
from pathlib import Path

from mmdiffseg.commands.model_option import tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config of mmseg or mmdet')
    parser.add_argument('checkpoint', help='weights, a file or URL')
    parser.add_argument('folder', type=Path, help='folder to write')
    parser.add_argument('--card', type=Path, metavar='JSON', help='what the card tells')
    parser.add_argument('--picture', type=Path, help='a page for the card')
    parser.add_argument('--half', action='store_true', help='store the weights as float16')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier model')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """Load the model and write it."""
    from mmdiffseg.apis.load import load
    from mmdiffseg.apis.model_folder import WEIGHTS
    from mmdiffseg.apis.pictures import read_pixels

    card = _read_card(args.card) if args.card else {}
    picture = read_pixels(args.picture) if args.picture else None
    segmenter = load(config=args.config, checkpoint=args.checkpoint, device='cpu')
    folder = segmenter.save_pretrained(
        args.folder, card=card, picture=picture, half=args.half, overwrite=args.overwrite
    )
    size = (folder / WEIGHTS).stat().st_size / 1e6
    tell(dict(folder=str(folder), megabytes=round(size, 2)), as_json=args.json)


def _read_card(file: Path) -> dict:
    try:
        card = json.loads(file.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'{file} is not JSON: {error}') from error
    if not isinstance(card, dict):
        raise ValueError(f'{file} must hold the fields of a card by their names')
    return card
