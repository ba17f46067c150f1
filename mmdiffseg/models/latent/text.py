"""Models and tokenizers of transformers, from a folder or from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmdiffseg.models.extras import find_source, import_extra, is_path

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedModel, PreTrainedTokenizerBase


def load_text_encoder(source: str) -> CLIPTextModel:
    """Load the text encoder of a Stable Diffusion, by its folder or name on the hub."""
    return load_transformer('CLIPTextModel', source, part='text_encoder')


def load_transformer(kind: str, source: str, *, part: str = '') -> PreTrainedModel:
    """Load a model of transformers in float32, in evaluation mode and without gradients.

    Args:
        kind: Name of its class.
        source: Folder, or name on the hub.
        part: Folder inside of it.

    Raises:
        FileNotFoundError: There is no such folder or name, or it has no weights.
    """
    return _load(kind, source, part, use_safetensors=True).float().eval().requires_grad_(False)


def load_tokenizer(source: str, *, part: str = 'tokenizer') -> PreTrainedTokenizerBase:
    """Load the tokenizer of a Stable Diffusion, or what lies in another folder of ``source``."""
    return _load('AutoTokenizer', source, part)


def _load(kind: str, source: str, part: str, **options):
    loader = getattr(import_extra('transformers'), kind)
    source = find_source(source)
    if Path(source).is_file():
        raise FileNotFoundError(
            f'{source} is a file where a folder is needed: make one by the script of '
            f'tools/model_converters that is for such a file'
        )
    folder = Path(source, part)
    if not folder.is_dir() and (Path(source).is_dir() or is_path(source)):
        raise FileNotFoundError(f'there is no folder {folder} to load {kind} from')
    try:
        return loader.from_pretrained(source, subfolder=part, trust_remote_code=False, **options)
    except OSError as error:
        raise FileNotFoundError(
            f'{kind} cannot be loaded from {folder}: neither files there, nor cached, nor to be '
            f'had from the hub ({str(error).splitlines()[0]})'
        ) from error
