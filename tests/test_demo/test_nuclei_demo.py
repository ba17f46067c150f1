import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo():
    pytest.importorskip('skimage')
    spec = importlib.util.spec_from_file_location('nuclei_demo', ROOT / 'demo/nuclei_demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_photographs_come_with_scikit_image(demo):
    """None is downloaded: the files are in the installed package."""
    import skimage

    folder = Path(skimage.__file__).parent / 'data'
    names = {'immunohistochemistry': 'ihc.png', 'cell': 'cell.png'}
    assert names.keys() == demo.PHOTOGRAPHS.keys()
    for name, shrink in demo.PHOTOGRAPHS.items():
        assert (folder / names[name]).is_file()
        picture = demo.photograph(name, shrink)
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
        assert 200 < max(picture.shape) < 700


def test_it_draws_every_photograph(demo, monkeypatch, tmp_path, capsys):
    class Model:
        def __call__(self, picture, *, steps, generations):
            from mmdiffseg.apis.result import Result

            labels = np.uint8(picture.mean(axis=2) > 128)
            palette = [[0, 0, 0], [255, 0, 0]]
            return Result(
                image=picture,
                name='0',
                classes=['ground', 'nuclei'],
                palette=palette,
                labels=labels,
            )

    monkeypatch.setattr(demo.mmdiffseg, 'load', lambda name: Model(), raising=False)
    out = tmp_path / 'new' / 'page.png'
    monkeypatch.setattr(sys, 'argv', ['nuclei_demo.py', '--out', str(out)])
    demo.main()
    page = np.asarray(Image.open(out))
    assert page.shape[0] > page.shape[1]  # two rows of two pictures
    told = capsys.readouterr().out
    assert all(name in told for name in demo.PHOTOGRAPHS) and str(out) in told
