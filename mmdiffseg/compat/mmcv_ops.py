"""A stand-in for mmcv's compiled operators where they are missing.

For: mmcv 2.x and onedl-mmcv 2.x installed from their source packages without torch in the build
environment, or for a torch without a prebuilt wheel. There `import mmcv.ops` fails for want of
`mmcv._ext`, and with it the import of every mmdet model, of which most never call an operator.
Does nothing where the operators are compiled: the finder stands last and is not asked then.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import NoReturn

_NAME = 'mmcv._ext'


class _StandIn(ModuleType):
    """Has every operator by name, since mmcv asks for the names when it is imported."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('_'):
            raise AttributeError(name)
        if name in ('get_compiler_version', 'get_compiling_cuda_version'):
            return lambda: 'n/a'  # mmcv's own word in `collect_env` when nothing was compiled

        def missing(*args, **kwargs) -> NoReturn:
            raise RuntimeError(
                f'mmcv was installed without compiled operators and `{name}` has been called: '
                'install an mmcv wheel prebuilt for your torch, or build mmcv from source with '
                'MMCV_WITH_OPS=1 and `pip install --no-build-isolation`.'
            )

        return missing


class _StandInFinder:
    """Serves as meta path finder and loader of the stand-in."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        return ModuleSpec(_NAME, self, origin=__file__) if fullname == _NAME else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name, __doc__)

    def exec_module(self, module: ModuleType) -> None:
        pass


def install_stand_in() -> None:
    """Let `import mmcv.ops` succeed without compiled operators; a call then says what to do."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())


def has_compiled_ops() -> bool:
    """Tell whether mmcv's compiled operators are there, whatever `import mmcv.ops` says."""
    spec = find_spec(_NAME)
    return spec is not None and not isinstance(spec.loader, _StandInFinder)
