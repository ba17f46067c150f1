import numpy as np
import pytest
import torch

from mmdiffseg.evaluation.trust import PixelReservoir, apply_temperature, fit_temperature


def test_the_temperature_that_made_the_labels_is_found(make_pixels):
    log_probs, labels = make_pixels(20000)
    # the labels are drawn at temperature 1.7
    assert fit_temperature(log_probs.numpy(), labels.numpy()) == pytest.approx(1.7, rel=0.05)


def test_a_temperature_of_one_changes_nothing(make_pixels):
    log_probs, _ = make_pixels()
    torch.testing.assert_close(apply_temperature(log_probs, 1.0), log_probs)


def fill(reservoir, order):
    rng = np.random.default_rng(0)
    pictures = [
        (str(number), rng.random((3, 500), np.float32), rng.integers(0, 3, 500))
        for number in range(9)
    ]
    for number in order:
        reservoir.add(*pictures[number])
    return reservoir


def test_a_reservoir_is_bounded_and_knows_no_order():
    there = fill(PixelReservoir(3, values=600), range(9))
    back = fill(PixelReservoir(3, values=600), reversed(range(9)))
    assert there.log_probs.shape == (3, 200) and there.labels.shape == (200,)
    np.testing.assert_array_equal(np.sort(there.keys), np.sort(back.keys))
    assert set(there.log_probs[0]) == set(back.log_probs[0])


def test_a_reservoir_chooses_evenly():
    reservoir = PixelReservoir(1, values=2000)
    for number in range(20):
        reservoir.add(f'{number}', np.full((1, 1000), number, np.float32), np.zeros(1000, np.int64))
    counts = np.bincount(reservoir.log_probs[0].astype(int), minlength=20)
    assert abs(counts - 100).max() < 45


def test_what_fits_is_kept_whole():
    reservoir = fill(PixelReservoir(3), range(9))
    assert reservoir.log_probs.shape == (3, 4500)


def test_nothing_to_fit_to_is_refused():
    with pytest.raises(ValueError, match='no pixel of the calibration split counts'):
        fit_temperature(np.empty((2, 0), np.float32), np.empty(0, np.int64))
