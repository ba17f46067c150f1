"""README.md as a package index shows it: nothing else of the repository is at hand there."""

import importlib.util
import re
from importlib.resources import files
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[2]
RELATIVE = re.compile(r'\]\((?!https?:|mailto:|#)[^)]*\)')


@pytest.fixture
def front_page(monkeypatch):
    monkeypatch.setattr(setuptools, 'setup', lambda **kwargs: None)
    spec = importlib.util.spec_from_file_location('mmdiffseg_setup', ROOT / 'setup.py')
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    return setup.front_page


def test_links_and_pictures_are_absolute_where_the_address_is_known(front_page):
    page = front_page('https://example.org/a/mmdiffseg/')
    assert RELATIVE.search(page) is None
    assert '](https://example.org/a/mmdiffseg/blob/main/LICENSE)' in page
    pictures = re.findall(r'!\[[^\]]*\]\(([^)]*)\)', page)
    assert pictures
    for picture in pictures:
        assert picture.startswith('https://example.org/a/mmdiffseg/raw/main/')
        assert (ROOT / picture.split('/raw/main/')[1]).is_file()


def test_without_an_address_no_link_leads_nowhere(front_page):
    page = front_page(None)
    assert RELATIVE.search(page) is None
    assert '![' not in page
    assert 'Apache 2.0' in page


def test_typed_and_listed_files_are_in_the_package():
    package = files('mmdiffseg')
    assert (package / 'py.typed').is_file()
    assert (package / 'zoo/README.md').is_file()
