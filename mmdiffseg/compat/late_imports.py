"""Packages that upstream imports in every run, for parts that few runs use.

For: mmengine and onedl-mmengine 0.10, which import transformers, and with it peft, to register one
optimizer; mmdet 3, which imports it for its language models; mmseg 1, which imports timm for one
backbone. Together 3 s of CPU. What is missing or imported already is left as it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import LazyLoader, _LazyModule, find_spec
from types import ModuleType
from typing import Any

_OPTIMIZERS = 'mmengine.optim.optimizer.builder'


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Let every import of a package fail meanwhile as if it were not installed."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]


def _adafactor(params: Any, **settings) -> Any:
    """Build the optimizer that mmengine registers from transformers."""
    from transformers import Adafactor

    return Adafactor(params, **settings)


class _OptimizersLoader(SourceFileLoader):
    """Runs mmengine's module without transformers, and registers its optimizer all the same."""

    def exec_module(self, module: ModuleType) -> None:
        with hidden('transformers'):
            super().exec_module(module)
        if 'Adafactor' not in module.OPTIMIZERS and find_spec('transformers'):
            module.OPTIMIZERS.register_module(name='Adafactor', module=_adafactor)


class _Late(ModuleType):
    """A module that runs when something of it is used, and not when somebody looks where it is.

    `inspect` asks every module for its `__file__`. That may happen in the middle of an import of
    torch, where timm cannot be imported yet.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in ('__class__', '__file__', '__loader__', '__name__', '__spec__'):
            return ModuleType.__getattribute__(self, name)
        self.__class__ = _LazyModule
        return getattr(self, name)


class _LateLoader(LazyLoader):
    """Loads a module as `_Late`."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__class__ = _Late


class _LateFinder:
    """Finds timm, to be run when something of it is used, and mmengine's optimizers."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname not in ('timm', _OPTIMIZERS):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and fullname == 'timm':
            spec.loader = _LateLoader(spec.loader)
        elif spec is not None:
            spec.loader = _OptimizersLoader(fullname, spec.origin)
        return spec


def import_late() -> None:
    """Let mmengine and mmseg be imported without transformers and timm."""
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())
