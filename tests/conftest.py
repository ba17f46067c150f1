import logging
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

import mmdiffseg  # noqa: F401  before mmseg and timm: compat mends their import where needed

REPO = Path(__file__).parents[1]
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


@pytest.fixture(autouse=True)
def own_default_scope():
    """No test inherits the default scope that another one has left behind."""
    scopes = DefaultScope._instance_dict
    before = scopes.copy()
    yield
    scopes.clear()
    scopes.update(before)


@pytest.fixture(scope='session')
def make_shapes():
    """Run the generator of Shapes with some options; returns the finished process."""

    def run(out, *options):
        tool = REPO / 'tools/dataset_converters/shapes.py'
        command = [sys.executable, tool, '--out', out, *options]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True)

    return run


@pytest.fixture(scope='session')
def shapes_root(make_shapes, tmp_path_factory):
    """A tiny Shapes data set: 6 training and 3 validation pictures of 64x64. Read only."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    done = make_shapes(root, '--train', 6, '--val', 3, '--size', 64, 64)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def refusal(capsys):
    """A context in which a tool must refuse its input: exit code 2 and a sentence."""

    @contextmanager
    def expect(sentence):
        with pytest.raises(SystemExit) as end:
            yield
        assert end.value.code == 2
        assert re.search(sentence, capsys.readouterr().err)

    return expect


@pytest.fixture
def log_lines():
    """Warnings in mmengine's log during a test."""
    logger, lines = MMLogger.get_current_instance(), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture(scope='session')
def browser():
    """A headless browser of the distribution."""
    playwright = pytest.importorskip(
        'playwright.sync_api', reason='the page is tested by playwright: pip install playwright'
    )
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip('the page is tested in a browser: apt-get install chromium')
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()
