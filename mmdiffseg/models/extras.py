"""Optional packages: import them where they are needed, or say which extra is missing."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mmdiffseg.registry import MODELS


def import_extra(name: str) -> ModuleType:
    """Import diffusers, transformers or peft, which only the latent methods need.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'the latent methods need {name} ({error}): run `pip install "mmdiffseg[latent]"`'
        ) from error


def is_path(source: str) -> bool:
    """Whether a source that does not exist was meant as a path: the hub's are ``owner/name``."""
    return source.count('/') != 1 or source.startswith('.') or Path(source).parent.is_dir()


def refuse(*names: str) -> None:
    """Register a refusal under each name: building it says which extra is missing."""
    for name in names:
        MODELS.register_module(name=name, module=_refusal(name))


def _refusal(name: str):
    def refusal(**config) -> NoReturn:
        raise ImportError(
            f'{name} needs mmdet: run `pip install "mmdiffseg[onedl]"` (the maintained line) or '
            '`pip install "mmdiffseg[openmmlab]"` (upstream).'
        )

    return refusal
