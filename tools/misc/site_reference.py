"""Pages of the API reference, from what the packages export; nothing is imported for them."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: title, introduction and packages of each page
PAGES = {
    'models': (
        'Heads and models',
        'Each of these is a `type` in a config, as `mmdiffseg.NAME`.',
        ('models/*',),
    ),
    'diffusion': (
        'Diffusion',
        'Schedules, encoders and samplers are a `type` in a config, as `mmdiffseg.NAME`.',
        ('diffusion',),
    ),
    'datasets': (
        'Data',
        'Data sets and transforms, each a `type` in a config, as `mmdiffseg.NAME`.',
        ('datasets', 'datasets/transforms'),
    ),
    'evaluation': (
        'Metrics',
        'Metrics are a `type` in a config, as `mmdiffseg.NAME`; functions are called from Python.',
        ('evaluation',),
    ),
    'hooks': ('Hooks', 'Hooks of the runner, each a `type` in a config.', ('engine/hooks',)),
}


def reference_pages() -> dict[str, str]:
    """The pages by their names, such as ``api/models.md``."""
    pages = {}
    for name, (title, introduction, patterns) in PAGES.items():
        parts = [f'# {title}', introduction]
        for pattern in patterns:
            for init in sorted((ROOT / 'mmdiffseg').glob(f'{pattern}/__init__.py')):
                parts += _room(init, has_title='*' in pattern or len(patterns) > 1)
        pages[f'api/{name}.md'] = '\n\n'.join(parts) + '\n'
    pages['api/models.md'] += '\n'.join(
        ['\n## diffusion_head\n', _entry('mmdiffseg.models.diffusion_head.DiffusionHead')]
    )
    return pages


def _room(init: Path, *, has_title: bool) -> list[str]:
    """What one package exports, under its name."""
    found = sorted(
        f'{node.module}.{alias.name}'
        for node in ast.walk(ast.parse(init.read_text(encoding='utf-8')))
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmdiffseg.')
        for alias in node.names
        if _is_object(node.module, alias.name)
    )
    title = [f'## {init.parent.name}'] if has_title and found else []
    return title + [_entry(name) for name in sorted(found, key=lambda n: n.split('.')[-1])]


def _is_object(module: str, name: str) -> bool:
    """Whether the import is a class or function of a module, and nothing private or a module."""
    path = ROOT / module.replace('.', '/')
    return path.with_suffix('.py').is_file() and not name.startswith('_')


def _entry(name: str) -> str:
    return f'::: {name}\n    options: {{ heading_level: 3 }}'
