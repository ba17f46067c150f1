from pathlib import Path

import pytest
import torch

RECORDED = torch.load(Path(__file__).parents[2] / 'data/distributions.pt')


@pytest.fixture(params=RECORDED['masks'].values(), ids=RECORDED['masks'])
def masks(request):
    """Raters and samples of CCDM's test script, with what it and we computed."""
    return request.param


@pytest.fixture
def flips():
    """A case of Probabilistic U-Net's Cityscapes evaluation: two of five classes are absent."""
    return RECORDED['flips']


@pytest.fixture
def shapes():
    """A scene of Ambiguous Shapes, its law and eight samples."""
    return RECORDED['shapes']
