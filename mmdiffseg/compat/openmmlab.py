"""Which OpenMMLab packages are installed, and whether they are recent enough.

For: the two lines that share import names, onedl-* (maintained) and upstream (mmengine 0.10,
mmcv 2.1, mmseg 1.2). Neither can be a hard requirement because they overwrite each other. Upper
bounds are left to them. Does nothing where one line is complete.
"""

import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from packaging.version import Version

# module: {distribution: oldest version that works}
REQUIRED = {
    'mmengine': {'onedl-mmengine': '0.10.8', 'mmengine': '0.10.0', 'mmengine-lite': '0.10.0'},
    'mmcv': {'onedl-mmcv': '2.3.0', 'mmcv': '2.0.0', 'mmcv-lite': '2.0.0'},
    'mmseg': {'onedl-mmsegmentation': '1.4.0', 'mmsegmentation': '1.2.0'},
}
HOW_TO_INSTALL = (
    'in a clone of mmdiffseg, run `pip install -e ".[onedl]"` (the maintained line) or '
    '`pip install -e ".[openmmlab]"` (upstream)'
)


def check_openmmlab() -> None:
    """Check that mmengine, mmcv and mmseg are there and recent enough, without importing them.

    Warns where two distributions of the same module are installed.

    Raises:
        ImportError: One is missing or too old; the sentence names both extras.
    """
    missing = [module for module in REQUIRED if find_spec(module) is None]
    if missing:
        raise ImportError(f'mmdiffseg needs {", ".join(missing)}: {HOW_TO_INSTALL}.')
    for oldest in REQUIRED.values():
        installed = {name: number for name in oldest if (number := _version(name)) is not None}
        for name, number in installed.items():
            if Version(number) < Version(oldest[name]):
                raise ImportError(
                    f'mmdiffseg needs {name}>={oldest[name]} and {number} is installed: '
                    f'{HOW_TO_INSTALL}.'
                )
        if len(installed) > 1:
            warnings.warn(
                f'{" and ".join(installed)} are both installed and have overwritten each other: '
                f'uninstall both, then {HOW_TO_INSTALL}.',
                stacklevel=2,
            )


def is_installed() -> bool:
    """Tell whether any part of OpenMMLab is installed."""
    return any(find_spec(module) is not None for module in REQUIRED)


def is_onedl() -> bool:
    """Tell whether the maintained line is installed."""
    return _version('onedl-mmengine') is not None


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
