"""What all converters of weights share."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools/model_converters'


@pytest.mark.parametrize('script', sorted(FOLDER.glob('*.py')), ids=lambda path: path.stem)
def test_a_converter_is_imported_from_anywhere(script, monkeypatch):
    elsewhere = [path for path in sys.path if Path(path).resolve() != FOLDER]
    monkeypatch.setattr(sys, 'path', elsewhere)
    assert callable(runpy.run_path(str(script))['main'])
