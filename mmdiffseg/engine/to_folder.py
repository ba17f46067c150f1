"""Shared by the converters to folders of diffusers and transformers."""

import argparse
import gzip
import json
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file

VOCABULARY = 'bpe_simple_vocab_16e6.txt.gz'


def load_weights(path: str, *, trust: bool) -> dict[str, Tensor]:
    """Read a state dict from a file of torch or of safetensors."""
    if Path(path).suffix == '.safetensors':
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f'{path} is damaged or not a safetensors file: {error}') from error
    return load_checkpoint_file(path, trust=trust)['state_dict']


def shapes_of(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move a state dict to the meta device, where tensors have a shape but no values."""
    return {name: value.to('meta') for name, value in weights.items()}


def byte_symbols() -> list[str]:
    """List the symbols of the 256 bytes in CLIP's vocabulary, printable characters first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def write_clip_tokenizer(folder: Path) -> None:
    """Write CLIP's tokenizer, made from the vocabulary that mmseg ships.

    Args:
        folder: Folder to write; must not exist.

    Raises:
        FileNotFoundError: This mmseg ships no vocabulary.
    """
    source = Path(find_spec('mmseg').origin).parent / 'utils' / VOCABULARY
    if not source.exists():
        raise FileNotFoundError(f'this mmseg has no {source}: get {VOCABULARY} of openai/CLIP')
    lines = gzip.decompress(source.read_bytes()).decode().split('\n')
    symbols = byte_symbols()
    # the file is longer than the vocabulary of 49,408: bytes, bytes at word ends, merges, two marks
    merges = lines[1 : 49408 - 2 * 256 - 2 + 1]
    words = symbols + [f'{symbol}</w>' for symbol in symbols]
    words += [merge.replace(' ', '') for merge in merges] + ['<|startoftext|>', '<|endoftext|>']
    folder.mkdir(parents=True)
    config = dict(
        tokenizer_class='CLIPTokenizer',
        model_max_length=77,
        bos_token='<|startoftext|>',
        eos_token='<|endoftext|>',
        pad_token='<|endoftext|>',
        unk_token='<|endoftext|>',
    )
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / 'vocab.json').write_text(json.dumps(vocabulary, ensure_ascii=False), 'utf-8')
    (folder / 'merges.txt').write_text('\n'.join(['#version: 0.2', *merges, '']), 'utf-8')
    (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=2), 'utf-8')


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make the command line of a converter."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('src', help='file of the authors')
    parser.add_argument('dst', type=Path, nargs='?', help='folder to write; must not exist')
    parser.add_argument('--check', action='store_true', help='compare names and shapes only')
    parser.add_argument('--trust', action='store_true', help='read a file that could run code')
    return parser


def parse_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line."""
    args = parser.parse_args()
    if args.check == (args.dst is not None):
        parser.error('give a folder to write, or --check')
    if args.dst and args.dst.exists():
        parser.error(f'{args.dst} exists and is not overwritten: choose another name')
    return args
