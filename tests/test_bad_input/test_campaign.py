"""Whatever goes in: no code of a file runs, no file is lost, one sentence says what is wrong."""

import shlex

import forked
import pytest
from bad_python_rows import PYTHON_ROWS
from bad_tool_rows import TOOL_ROWS

ROWS = TOOL_ROWS + PYTHON_ROWS


def marked(row):
    marks = [pytest.mark.recipe] if row.slow else []
    return pytest.param(row, id=f'{row.entry} {row.input}', marks=marks)


@pytest.mark.parametrize('row', [marked(row) for row in ROWS])
def test_bad_input(context, box, row):
    given = [row.input] if row.entry == 'python' else shlex.split(row.input)
    done = forked.call(context, [row.entry, *given], box)
    said = ' '.join(done.said.split())
    assert row.sentence in said, said[-2000:]
    if row.entry == 'python':
        assert done.code == 1 and f'{row.code}: ' in said, (done.code, said[-2000:])
    else:
        assert done.code == row.code, (done.code, said[-2000:])
        assert 'Traceback' not in said, said[-2000:]


def test_each_row_is_there_once():
    assert len({(row.entry, row.input) for row in ROWS}) == len(ROWS) >= 150
