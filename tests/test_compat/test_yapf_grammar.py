import sys

import pytest

from mmdiffseg.compat import yapf_grammar


@pytest.fixture
def half_written(monkeypatch, tmp_path):
    """A yapf whose first imports find half of a grammar; gives the file that counts them."""
    counter = tmp_path / 'imports'
    counter.write_text('0')
    (tmp_path / 'yapf.py').write_text(
        f'from pathlib import Path\ncounter = Path({str(counter)!r})\n'
        'number = int(counter.read_text()) + 1\ncounter.write_text(str(number))\n'
        "if number < 3:\n    raise EOFError('Ran out of input')\n"
    )
    monkeypatch.delitem(sys.modules, 'yapf', raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(yapf_grammar, 'PAUSE', 0)
    yield counter
    sys.modules.pop('yapf', None)


def test_it_waits_until_the_grammar_is_whole(half_written):
    yapf_grammar.import_yapf()
    assert half_written.read_text() == '3'


def test_it_does_not_wait_for_ever(half_written, monkeypatch):
    monkeypatch.setattr(yapf_grammar, 'ATTEMPTS', 2)
    with pytest.raises(EOFError):
        yapf_grammar.import_yapf()
