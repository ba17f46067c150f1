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
        source: Folder or hub name.
        part: Folder inside the source.

    Raises:
        FileNotFoundError: The folder or hub name does not exist, or holds no weights.
    """
    return _load(kind, source, part, use_safetensors=True).float().eval().requires_grad_(False)


def load_tokenizer(source: str, *, part: str = 'tokenizer') -> PreTrainedTokenizerBase:
    """Load the tokenizer of a Stable Diffusion model, or one from another folder of ``source``."""
    return _load('AutoTokenizer', source, part)


def _load(kind: str, source: str, part: str, **options):
    loader = getattr(import_extra('transformers'), kind)
    source = find_source(source)
    if Path(source).is_file():
        raise FileNotFoundError(
            f'{source} is a file, but a folder is needed: convert it by the script for such files '
            'in tools/model_converters'
        )
    folder = Path(source, part)
    if not folder.is_dir() and (Path(source).is_dir() or is_path(source)):
        raise FileNotFoundError(f'there is not a folder {folder} to load {kind} from')
    try:
        return loader.from_pretrained(source, subfolder=part, trust_remote_code=False, **options)
    except OSError as error:
        raise FileNotFoundError(
            f'{kind} of {folder} was found neither in a local folder, nor in the cache, nor on the '
            f'hub ({str(error).splitlines()[0]})'
        ) from error
