"""The documentation: links, reference and, where mkdocs is installed, the whole site."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools/misc'


def tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('[a](b.md#c)', '[a](web/docs/b.md#c)'),
        ('[a](../x/y.py)', '[a](web/x/y.py)'),
        ('![a](b.png)', '![a](web/docs/b.png)'),
        ('[![a](b.png)](c.md)', '[![a](web/docs/b.png)](web/docs/c.md)'),
        ('[`a[0]`](b.md)', '[`a[0]`](web/docs/b.md)'),
        ('[a](https://b.org/c) [d](#e)', '[a](https://b.org/c) [d](#e)'),
        ('```python\nx[0](b.md)\n```', '```python\nx[0](b.md)\n```'),
        ('[a](secret.md), ![b](secret.md)', 'a, '),
    ],
)
def test_links_get_another_address(text, expected):
    def address_of(path):
        return None if 'secret' in path else f'web/{path}'

    assert tool('markdown_links').rewrite_links(text, address_of, page='docs/a.md') == expected


def test_the_reference_has_everything_that_the_packages_export():
    pages = tool('site_reference').reference_pages()
    assert '::: mmdiffseg.models.ddp.semantic.DDPHead\n' in pages['api/models.md']
    assert '::: mmdiffseg.models.dformer.head.DFormerHead\n' in pages['api/models.md']
    assert '::: mmdiffseg.diffusion.samplers.DDIMSampler\n' in pages['api/diffusion.md']
    for page in pages.values():
        names = [line.removeprefix('::: ') for line in page.splitlines() if line[:3] == ':::']
        assert len(names) == len(set(names)) > 0


def test_the_site_builds_without_a_warning(tmp_path):
    for module in ('mkdocs', 'material', 'mkdocstrings_handlers.python'):
        if importlib.util.find_spec(module.split('.')[0]) is None:
            pytest.skip(f'needs {module}: pip install -r requirements/docs.txt')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
    )
    assert done.returncode == 0, done.stderr
    front = (tmp_path / 'index.html').read_text()
    assert 'src="demo.png"' in front and 'docs/demo.png' not in front
    assert 'id="mmdiffseg.apis.load.load"' in (tmp_path / 'api/segment/index.html').read_text()
