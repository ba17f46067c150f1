import numpy as np
import pytest

from mmdiffseg.visualization.admitted import INNER, LEVELS, OUTER
from mmdiffseg.visualization.pages.guarantee import guarantee_page


def promises(kind, risk, values):
    return {
        alpha: dict(kind=kind, risk=risk, source='probability', alpha=alpha, value=value)
        for alpha, value in zip((0.05, 0.1, 0.2), values, strict=True)
    }


def has(page, colour):
    return (np.abs(page.astype(int) - colour).max(axis=2) <= 2).any()


@pytest.fixture
def blob():
    rows, columns = np.mgrid[-32:32, -32:32]
    foreground = np.exp(-(rows**2 + columns**2) / 300)
    return np.stack([1 - foreground, foreground])


@pytest.mark.parametrize(
    ('risk', 'values', 'shown', 'hidden'),
    [
        ('missed', (0.1, 0.2, 0.4), OUTER, INNER),
        ('false_positive', (0.9, 0.8, 0.6), INNER, OUTER),
    ],
)
def test_only_what_is_promised_is_outlined(blob, risk, values, shown, hidden):
    image = np.full((64, 64, 3), 120, np.uint8)
    page = guarantee_page(image, blob, promises('threshold', risk, values))
    assert has(page, shown) and not has(page, hidden)
    assert all(has(page, level) for level in LEVELS)  # in the legend


def test_both_outlines_and_the_truth(blob):
    image = np.full((64, 64, 3), 120, np.uint8)
    labels = (blob[1] > 0.45).astype(np.uint8)
    page = guarantee_page(image, blob, promises('margin', 'iou', (8, 5, 2)), labels=labels)
    assert has(page, INNER) and has(page, OUTER)


def test_sets_are_shown_by_their_size(blob):
    image = np.full((64, 64, 3), 120, np.uint8)
    three = np.concatenate([blob / 2, np.full((1, 64, 64), 0.5)])
    page = guarantee_page(image, three, promises('set', 'missed', (0.99, 0.8, 0.4)))
    assert page.shape[1] > 3 * page.shape[0] / 2
