import ast
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import mmdiffseg
from mmdiffseg.compat.openmmlab import REQUIRED

ROOT = Path(__file__).parents[2]


def extra(name):
    """Requirements by distribution that the extra adds, as `requires` reports them."""
    all_of_them = [Requirement(line) for line in requires('mmdiffseg')]
    return {
        r.name: r.specifier
        for r in all_of_them
        if r.marker is not None and r.marker.evaluate({'extra': name})
    }


def plain_requirements():
    return {r.name for r in map(Requirement, requires('mmdiffseg')) if r.marker is None}


def test_version_and_licence_are_stated_once_each():
    info = metadata('mmdiffseg')
    assert info['Version'] == mmdiffseg.__version__
    assert info['License-Expression'] == 'Apache-2.0'
    assert info['Requires-Python'] == '>=3.10'
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmdiffseg.__version__
    assert f'## {mmdiffseg.__version__}' in (ROOT / 'CHANGELOG.md').read_text()


def test_neither_openmmlab_line_is_required():
    lines = {name for distributions in REQUIRED.values() for name in distributions}
    assert plain_requirements().isdisjoint(lines)
    assert 'torch' in plain_requirements()


def test_extras_bring_a_line_each_with_the_bounds_that_import_checks():
    for line, prefix in (('onedl', 'onedl-'), ('openmmlab', '')):
        bounds = extra(line)
        for distributions in REQUIRED.values():
            name = next(n for n in distributions if n.startswith('onedl-') == bool(prefix))
            oldest = distributions[name]
            assert bounds[name].contains(oldest)
            assert not bounds[name].contains('0.0.1')
            assert all(spec.operator != '==' for spec in bounds[name])
    assert extra('mim') == extra('onedl')
    assert {'diffusers', 'peft', 'transformers'} <= set(extra('latent'))
    assert {'pytest', 'ruff', 'import-linter'} <= set(extra('tests')) <= set(extra('dev'))


#: what is imported under another name than it is installed by
DISTRIBUTIONS = {'PIL': 'pillow'}


def test_every_package_that_is_imported_is_declared():
    imported = set()
    for path in (ROOT / 'mmdiffseg').rglob('*.py'):
        if '.mim' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split('.')[0])
    # mmdet comes with either line, and cv2 with its mmcv, in a distribution of its choice; spacy
    # is a choice, and its absence is told in a sentence; yaml is what mmengine reads YAML by, and
    # yapf what it prints configs by
    others = (
        imported
        - sys.stdlib_module_names
        - {'mmdiffseg', 'mmdet', 'cv2', 'spacy', 'yaml', 'yapf', *REQUIRED}
    )
    declared = {
        Requirement(line).name
        for name in ('runtime', 'latent')
        for line in (ROOT / f'requirements/{name}.txt').read_text().splitlines()
    }
    assert {DISTRIBUTIONS.get(name, name) for name in others} <= declared


def test_the_constraints_name_versions_within_the_bounds():
    lines = (ROOT / 'requirements/constraints.txt').read_text().splitlines()
    exact = {r.name: next(iter(r.specifier)).version for r in map(Requirement, lines[2:])}
    for name in ('runtime', 'latent', 'mminstall'):
        for line in (ROOT / f'requirements/{name}.txt').read_text().splitlines():
            requirement = Requirement(line)
            if requirement.name in exact:
                assert requirement.specifier.contains(exact[requirement.name]), line


def test_model_index_names_files_that_exist():
    for metafile in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        models = yaml.safe_load((ROOT / metafile).read_text())['Models']
        for model in models:
            assert (ROOT / model['Config']).is_file(), model['Config']
