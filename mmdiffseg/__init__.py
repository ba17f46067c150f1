"""Diffusion models for image segmentation, as ordinary OpenMMLab models."""

from importlib import import_module
from typing import Any

from mmdiffseg import compat
from mmdiffseg.version import __version__

compat.apply()

__all__ = ['RefinedDetector', 'RefinedSegmentor', '__version__', 'load', 'train']
# imported when they are asked for: the package itself is light
_LATE = {
    'RefinedDetector': 'mmdiffseg.models.refine',
    'RefinedSegmentor': 'mmdiffseg.models.refine',
    'load': 'mmdiffseg.apis.load',
    'train': 'mmdiffseg.apis.train_on_folder',
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    compat.check_openmmlab()
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
