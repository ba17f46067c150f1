"""Run a step of ours as soon as somebody else's module has been imported, and not before.

For: modules that are slow to import, so that `import mmdiffseg` cannot import them to mend them.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, step: Callable[[], None]) -> None:
        super().__init__(fullname, path)
        self.step = step

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        self.step()


class _Finder:
    """Finds one module, and nothing else."""

    def __init__(self, name: str, step: Callable[[], None]) -> None:
        self.name = name
        self.step = step

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = PathFinder.find_spec(fullname, path)
        spec.loader = _Loader(fullname, spec.origin, self.step)
        return spec


def after_import(name: str, step: Callable[[], None]) -> None:
    """Call ``step`` once the module has been imported: now, if it has been already."""
    if name in sys.modules:
        step()
    else:
        sys.meta_path.insert(0, _Finder(name, step))
