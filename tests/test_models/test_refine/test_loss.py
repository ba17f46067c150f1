import numpy as np
import torch

from mmdiffseg.models.refine import texture, texture_loss


def by_hand(mask):
    """Pixel by pixel, with zeros beyond the border."""
    h, w = mask.shape

    def at(map_, y, x):
        return map_[y, x] if 0 <= y < h and 0 <= x < w else 0.0

    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    smooth = np.array(
        [[sum(at(mask, y + dy, x + dx) for dy, dx in around) / 9 for x in range(w)]
         for y in range(h)]
    )  # fmt: skip
    found = np.empty((h, w))
    for y in range(h):
        for x in range(w):
            across = sum((2 - abs(dy)) * dx * at(smooth, y + dy, x + dx) for dy, dx in around) / 4
            down = sum((2 - abs(dx)) * dy * at(smooth, y + dy, x + dx) for dy, dx in around) / 4
            found[y, x] = np.sqrt(across**2 + down**2 + 1e-4)
    return found


def test_texture_by_hand():
    mask = np.random.default_rng(0).random((5, 7))
    found = texture(torch.from_numpy(mask)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, by_hand(mask), atol=1e-12)


def test_loss_is_the_mean_difference_where_it_counts():
    rng = np.random.default_rng(1)
    probs, target = rng.random((6, 6)), rng.integers(0, 2, (6, 6)).astype(float)
    valid = np.ones((6, 6), bool)
    valid[:2] = False
    expected = np.abs(by_hand(probs * valid) - by_hand(target * valid))[2:].mean()
    given = [torch.from_numpy(x)[None, None] for x in (probs, target, valid)]
    assert abs(texture_loss(*given).item() - expected) < 1e-12
