import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mmdiffseg.apis.referring_inferencer import ReferringInferencer, draw_referral
from mmdiffseg.models.referring.ref_diff import Referral
from mmdiffseg.models.referring.root_finder import Root

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/_base_/models/ref_diff_tiny.py'


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


def test_demo_writes_pages(picture, tmp_path, monkeypatch, capsys):
    pytest.importorskip('diffusers')
    monkeypatch.chdir(ROOT)
    options = [str(picture), 'the red circle', '--out', str(tmp_path / 'out'), '--device', 'cpu']
    monkeypatch.setattr(sys, 'argv', ['referring_demo.py', *options])
    runpy.run_path(str(ROOT / 'demo/referring_demo.py'), run_name='__main__')
    assert Image.open(tmp_path / 'out/picture_0.png').width > 1000
    assert "about 'circle', proposal" in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['referring_demo.py', str(picture), 'zebra', *options[2:]])
    with pytest.raises(SystemExit, match="knows no word of 'zebra'"):
        runpy.run_path(str(ROOT / 'demo/referring_demo.py'), run_name='__main__')


def test_page():
    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[0, 2:8, 2:9], masks[1, 10:18, 12:25], masks[2] = True, True, True
    referral = Referral(
        text='the red circle on the left of the very long sentence',
        root=Root('circle', 8),
        proposals=masks,
        keep=torch.tensor([True, True, False]),
        scores=dict(gen=torch.tensor([0.1, 0.6, torch.nan])),
        total=torch.tensor([0.1, 0.6, 0.0]),
        index=1,
        heat=torch.rand(20, 30).double(),
    )
    image = np.full((20, 30, 3), 200, dtype=np.uint8)
    with_heat = draw_referral(image, referral)
    referral.heat = None
    without = draw_referral(image, referral, proposals=1)
    # image, answer, attention and both kept proposals; image, answer and one proposal
    assert with_heat.shape[1] == 8 + 5 * 264 and without.shape[1] == 8 + 3 * 264
