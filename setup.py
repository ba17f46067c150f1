"""Put what `mim` and the inferencers look for beside the package; the rest is in pyproject.toml."""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('tools', 'configs', 'demo', 'model-index.yml')


class BuildWithMim(build_py):
    """Build the package with `MIM_FILES` in `mmdiffseg/.mim`: linked if editable, else copied."""

    def run(self):
        """Build the modules, then fill `.mim` afresh."""
        super().run()
        package_root = ROOT if self.editable_mode else Path(self.build_lib)
        mim = package_root / 'mmdiffseg' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir()
        for name in MIM_FILES:
            if self.editable_mode:
                _link_or_copy(ROOT / name, mim / name)
            else:
                _copy(ROOT / name, mim / name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except OSError:  # Windows allows links to administrators and developers only
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy(source, target)


setup(cmdclass={'build_py': BuildWithMim})
