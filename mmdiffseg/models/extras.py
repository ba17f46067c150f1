"""Optional packages: import them where they are needed, or say which extra is missing."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mmdiffseg.registry import MODELS

PACKAGE = Path(__file__).resolve().parents[1]


def import_extra(name: str, *, extra: str = 'latent') -> ModuleType:
    """Import a package that only some parts need.

    Args:
        name: Of the module.
        extra: The extra of mmdiffseg that brings it, such as ``latent`` for diffusers.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = error.name or name  # what `name` itself imports may be missing too
        raise ImportError(
            f'{missing} is missing ({error}): run `pip install "mmdiffseg[{extra}]"`, or in a '
            f'clone of mmdiffseg `pip install -e ".[{extra}]"`'
        ) from error


def find_source(source: str) -> str:
    """Find a folder or file by a path from here, or by one in the package such as ``demo/...``.

    Returns:
        Its path; what is neither, such as a name on the hub, comes back as it is.
    """
    return next((str(root / source) for root in _roots() if (root / source).exists()), source)


def is_path(source: str) -> bool:
    """Whether a source that does not exist was meant as a path: the hub's are ``owner/name``."""
    return (
        source.count('/') != 1
        or source.startswith(('.', '~'))
        or any((root / source).parent.is_dir() for root in _roots())
    )


def _roots() -> list[Path]:
    """Where paths in a config may start: here, in a clone of the repository, in an installation."""
    roots = [Path(), PACKAGE.parent, PACKAGE / '.mim']
    return [root for root in roots if root == Path() or (root / 'model-index.yml').is_file()]


def refuse(*names: str) -> None:
    """Register a refusal under each name: building it says which extra is missing."""
    for name in names:
        MODELS.register_module(name=name, module=_refusal(name))


def _refusal(name: str):
    def refusal(**config) -> NoReturn:
        raise ImportError(
            f'{name} needs mmdet: in a clone of mmdiffseg, run `pip install -e ".[onedl]"` (the '
            'maintained line) or `pip install -e ".[openmmlab]"` (upstream).'
        )

    return refusal
