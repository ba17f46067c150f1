"""Hooks of mkdocs: pages that lie outside of docs/, and links between all of them."""

import json
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, InclusionLevel

sys.path.insert(0, str(Path(__file__).parent))
from markdown_links import rewrite_links  # noqa: E402
from site_reference import reference_pages  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
#: file of the repository of each page of the site that is not in docs/
PAGES = {
    'index.md': 'README.md',
    'contributing.md': 'CONTRIBUTING.md',
    'changelog.md': 'CHANGELOG.md',
    'tiny_world.md': 'demo/tiny_world/README.md',
    'models/index.md': 'mmdiffseg/zoo/README.md',
    **{
        f'papers/{path.parent.name}.md': path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.glob('configs/*/README.md'))
    },
    **{
        f'models/{path.parent.name}.md': path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.glob('mmdiffseg/zoo/*/README.md'))
    },
    **{
        f'notebooks/{path.stem}.md': path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.glob('docs/notebooks/*.ipynb'))
    },
}
#: roles of Sphinx, which the docstrings have and Markdown has not
ROLE = re.compile(r':(?:func|class|meth|mod|attr|data|exc):<code>(?:~[\w.]+\.)?([^<]+)</code>')


def on_files(files, config):
    """Add the pages and pictures that lie outside of docs/."""
    for name, source in PAGES.items():
        path = ROOT / source
        text = path.read_text(encoding='utf-8')
        content = notebook_page(text) if path.suffix == '.ipynb' else text
        files.append(_page(config, name, content))
    for name, content in reference_pages().items():
        files.append(_page(config, name, content))
    for path in sorted(ROOT.glob('mmdiffseg/zoo/*/*.png')):
        name = f'models/{path.parent.name}_{path.name}'
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def _page(config, name: str, content: str) -> File:
    # the cards of the models are found through their list
    card = name.startswith('models/') and name != 'models/index.md'
    inclusion = InclusionLevel.NOT_IN_NAV if card else InclusionLevel.UNDEFINED
    return File.generated(config, name, content=content, inclusion=inclusion)


def notebook_page(text: str) -> str:
    """A notebook as Markdown, without outputs."""
    cells = [(cell['cell_type'], ''.join(cell['source'])) for cell in json.loads(text)['cells']]
    return '\n\n'.join(
        source if kind == 'markdown' else f'```python\n{source}\n```' for kind, source in cells
    )


def on_page_markdown(markdown, page, config, files):
    """Point links at the page of the site, or else at the repository, if its address is known."""
    here = page.file.src_uri
    sources = {f'docs/{file.src_uri}': file.src_uri for file in files}
    sources |= {source: name for name, source in PAGES.items()}
    sources |= {
        f'mmdiffseg/zoo/{path.parent.name}/{path.name}': f'models/{path.parent.name}_{path.name}'
        for path in ROOT.glob('mmdiffseg/zoo/*/*.png')
    }

    def address_of(path: str) -> str | None:
        found = sources.get(path) or sources.get(f'{path}/README.md')
        if found is not None:
            return posixpath.relpath(found, posixpath.dirname(here) or '.')
        if not (ROOT / path).exists():
            return path  # mkdocs says that there is no such file
        return f'{config.repo_url.rstrip("/")}/blob/main/{path}' if config.repo_url else None

    return rewrite_links(markdown, address_of, page=PAGES.get(here, f'docs/{here}'))


def on_page_content(html, page, config, files):
    """Show what the roles of docstrings name."""
    return ROLE.sub(r'<code>\1</code>', html)
