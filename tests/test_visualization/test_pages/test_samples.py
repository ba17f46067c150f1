import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.visualization.pages import samples as module
from mmdiffseg.visualization.pages.samples import sample_pages

META = dict(classes=('background', 'vessel', 'halo'), palette=[[0, 0, 0], [255, 0, 0], [0, 0, 255]])


@pytest.fixture
def sample():
    """Two raters agree on the left half, a third says all; six samples, four of them say all."""
    raters = np.zeros((3, 20, 30), np.uint8)
    raters[:2, :, :15], raters[2] = 1, 1
    result = SegDataSample(metainfo=dict(raters=['anna', 'ben', 'cleo']))
    result.gt_raters = PixelData(data=torch.from_numpy(raters))
    result.samples = PixelData(data=torch.from_numpy(raters[[0, 2, 2, 0, 2, 2]]).long())
    return result


@pytest.fixture
def drawn(monkeypatch):
    """What is handed on to the panel and to the bars."""
    seen = {}
    panel, bars = module.panel, module.mode_bars
    monkeypatch.setattr(
        module, 'panel', lambda pictures, **k: panel(seen.setdefault('pictures', pictures), **k)
    )
    monkeypatch.setattr(
        module, 'mode_bars', lambda shares, **k: bars(seen.setdefault('shares', shares), **k)
    )
    return seen


def test_shows_raters_samples_and_frequencies(sample, drawn):
    (page,) = sample_pages(np.full((20, 30, 3), 200, np.uint8), sample, META, max_samples=2)
    assert page.dtype == np.uint8
    assert list(drawn['pictures']) == [
        'image',
        'anna, ben: 0.67',
        'cleo: 0.33',
        'sample 1: 0.00 to anna, ben',
        'sample 2: 0.00 to cleo',
    ]
    left = drawn['pictures']['sample 1: 0.00 to anna, ben']
    assert left[5, 5, 0] > left[5, 5, 1] + 100  # red
    assert left[5, 25, 0] == left[5, 25, 1]  # grey
    truth, counts = drawn['shares'].values()
    assert truth == {'anna, ben': pytest.approx(2 / 3), 'cleo': pytest.approx(1 / 3)}
    assert counts == {'anna, ben': pytest.approx(1 / 3), 'cleo': pytest.approx(2 / 3)}


def test_weights_and_ignored_pixels(sample, drawn):
    sample.set_metainfo(dict(rater_weights=[0.1, 0.1, 0.8]))
    sample.gt_raters.data[2, :, 15:] = 255  # where they differ
    sample_pages(np.zeros((20, 30, 3), np.uint8), sample, META, max_raters=1)
    captions = list(drawn['pictures'])
    assert captions[1] == 'cleo: 0.80'
    assert 'sample 2: 0.00 to anna, ben' in captions
