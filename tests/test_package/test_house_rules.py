from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]


def test_contracts_of_pyproject_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_files_stay_below_400_lines():
    long = [
        str(path.relative_to(ROOT))
        for folder in ('mmdiffseg', 'tools', 'tests')
        for path in (ROOT / folder).rglob('*.py')
        if len(path.read_text().splitlines()) > 400 and '.mim' not in path.parts
    ]
    assert long == []
