"""What building a model says where mmdet is missing but needed."""

from typing import NoReturn

from mmdiffseg.registry import MODELS


def refuse(*names: str) -> None:
    """Register models under whose names there is nothing but a sentence."""
    for name in names:
        MODELS.register_module(name=name, module=_refusal(name))


def _refusal(name: str):
    def refusal(**config) -> NoReturn:
        raise ImportError(
            f'{name} needs mmdet: run `pip install "mmdiffseg[onedl]"` (the maintained line) or '
            '`pip install "mmdiffseg[openmmlab]"` (upstream).'
        )

    return refusal
