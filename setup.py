"""What pyproject.toml cannot say: files for `mim`, and the front page for the index."""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / 'tools/misc'))
from markdown_links import rewrite_links  # noqa: E402

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


def front_page(repository: str | None) -> str:
    """README.md with absolute links, for an index that shows nothing else of the repository.

    Args:
        repository: Web address of the repository; without one, links to its files become plain text
            and its pictures go.
    """

    def address_of(path: str) -> str | None:
        if repository is None:
            return None
        kind = 'raw' if path.endswith('.png') else 'blob'
        return f'{repository.rstrip("/")}/{kind}/main/{path}'

    return rewrite_links((ROOT / 'README.md').read_text('utf-8'), address_of, page='README.md')


def repository() -> str | None:
    """The address in [project.urls] of pyproject.toml, the only place where it is written."""
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
    return project.get('urls', {}).get('Repository')


setup(
    cmdclass={'build_py': BuildWithMim},
    long_description=front_page(repository()),
    long_description_content_type='text/markdown',
)
