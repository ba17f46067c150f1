import numpy as np

from mmdiffseg.evaluation.mask_smoothing import (
    guided_filtered,
    median_filtered,
    opened_and_closed,
)


def test_specks_and_pinholes_go():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    noisy = mask.copy()
    noisy[3, 3], noisy[20, 20] = True, False
    for smooth in (median_filtered, opened_and_closed):
        found = smooth(noisy)
        assert found.dtype == bool and not found[3, 3] and found[20, 20]
        assert (found != mask).sum() <= 12  # corners become round


def test_the_guide_pulls_the_outline_to_its_edges():
    truth = np.zeros((60, 60), bool)
    truth[15:45, 15:45] = True
    image = np.where(truth, 220, 30)[..., None].repeat(3, axis=2).astype(np.uint8)
    coarse = np.roll(truth, 3, axis=1)
    found = guided_filtered(coarse, image)
    assert (found != truth).sum() < 0.3 * (coarse != truth).sum()
    flat = guided_filtered(coarse, np.full((60, 60, 3), 99, np.uint8))
    assert (flat != truth).sum() > 2 * (found != truth).sum()  # nothing to follow
