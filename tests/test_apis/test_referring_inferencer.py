import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mmdiffseg.apis.referring_inferencer import ReferringInferencer, read_rgb

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/_base_/models/ref_diff_tiny.py'


# the drawn picture lies outside of the tiny world
pytestmark = pytest.mark.filterwarnings('ignore:the image is unlike')


@pytest.fixture
def picture(tmp_path):
    """A red disc on the left and a blue box on the right, 96x64."""
    image = Image.new('RGB', (96, 64), (128, 128, 128))
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 20, 34, 44), fill=(220, 40, 40))
    draw.rectangle((60, 18, 84, 42), fill=(40, 60, 220))
    path = tmp_path / 'picture.png'
    image.save(path)
    return path


def test_from_file_and_from_array(picture, monkeypatch):
    pytest.importorskip('diffusers')
    monkeypatch.chdir(ROOT)
    inferencer = ReferringInferencer(CONFIG, device='cpu')
    texts = ['the red circle', 'the blue square']
    answers = inferencer(picture, texts)
    assert [a.text for a in answers] == texts
    assert [a.root.word for a in answers] == ['circle', 'square']
    for answer in answers:
        assert answer.mask.shape == (64, 96) and answer.mask.any()
    (alone,) = inferencer(np.array(Image.open(picture)), texts[1])
    torch.testing.assert_close(alone.heat, answers[1].heat, atol=0.02, rtol=0)


@pytest.fixture
def run_demo(tmp_path, monkeypatch):
    pytest.importorskip('diffusers')
    monkeypatch.chdir(ROOT)

    def run(*arguments):
        options = ['--out', str(tmp_path / 'out'), '--device', 'cpu']
        monkeypatch.setattr(sys, 'argv', ['referring_demo.py', *map(str, arguments), *options])
        runpy.run_path(str(ROOT / 'demo/referring_demo.py'), run_name='__main__')

    return run


def test_demo_writes_pages_and_replaces_none(picture, tmp_path, run_demo, capsys, refusal):
    run_demo(picture, 'the red circle')
    page = tmp_path / 'out/picture_0.png'
    assert Image.open(page).width > 1000
    assert "about 'circle', proposal" in capsys.readouterr().out
    page.write_bytes(b'mine')
    with refusal('picture_0.png exists: choose another --out'):
        run_demo(picture, 'the red circle')
    assert page.read_bytes() == b'mine'
    run_demo(picture, 'the red circle', '--overwrite')
    assert Image.open(page).width > 1000


def test_demo_answers_what_it_can(picture, tmp_path, run_demo, capsys):
    with pytest.raises(SystemExit):
        run_demo(picture, 'zebra', 'the red circle', ' ', 'the blue square')
    assert [path.name for path in sorted((tmp_path / 'out').iterdir())] == [
        'picture_1.png',
        'picture_3.png',
    ]
    said = capsys.readouterr()
    assert "'zebra': not answered" in said.out
    assert "the text encoder knows no word of 'zebra'" in said.err


@pytest.mark.parametrize('content', [b'', b'no picture'])
def test_file_that_is_no_picture(tmp_path, run_demo, content, refusal):
    path = tmp_path / 'text.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='text.png is not a picture'):
        read_rgb(path)
    with refusal('text.png is not a picture'):
        run_demo(path, 'the red circle')
    with refusal('missing.png'):
        run_demo(tmp_path / 'missing.png', 'the red circle')


def test_pictures_inside_and_outside_of_the_tiny_world(make_shapes, tmp_path, monkeypatch):
    pytest.importorskip('diffusers')
    monkeypatch.chdir(ROOT)
    options = ('--size', 64, 64, '--shapes', 2, 3, '--camouflage', 0, '--distractors', 0.1, 0)
    options += ('--train', 1, '--val', 5)
    make_shapes(tmp_path / 'shapes', *options)
    inferencer = ReferringInferencer(CONFIG, device='cpu')
    for path in (tmp_path / 'shapes/images/val').iterdir():
        assert inferencer(path, 'the red circle')[0].notes == []
    photograph = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    photograph = np.array(Image.fromarray(photograph).resize((96, 64), Image.Resampling.BICUBIC))
    (note,) = inferencer(photograph, 'the red circle')[0].notes
    assert 'unlike those that the model was trained on' in note
