import numpy as np
import pytest

from mmdiffseg.evaluation import BoundaryMetric
from mmdiffseg.evaluation.boundary_scores import (
    boundary_accuracy,
    boundary_band,
    boundary_iou,
    boundary_radii,
)


def blobs(seed, shape=(40, 56)):
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    y, x = rng.integers(10, 30), rng.integers(15, 40)
    return (ys - y) ** 2 + (xs - x) ** 2 < rng.integers(7, 14) ** 2


def band_by_hand(mask, distance):
    """Pixels with a pixel outside of the mask, or of the picture, within so many king's moves."""
    h, w = mask.shape
    found = np.zeros_like(mask)
    for y in range(h):
        for x in range(w):
            around = [
                (y + dy, x + dx)
                for dy in range(-distance, distance + 1)
                for dx in range(-distance, distance + 1)
            ]
            out = any(not (0 <= i < h and 0 <= j < w) or not mask[i, j] for i, j in around)
            found[y, x] = mask[y, x] and out
    return found


@pytest.mark.parametrize('share, distance', [(0.02, 1), (0.05, 3)])
def test_band_and_its_iou_by_hand(share, distance):
    pred, gt = blobs(0), blobs(1)
    assert distance == max(1, round(share * np.hypot(40, 56)))
    bands = [band_by_hand(mask, distance) for mask in (pred, gt)]
    for mask, band in zip((pred, gt), bands, strict=True):
        assert np.array_equal(boundary_band(mask, share=share), band)
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    assert boundary_iou(pred, gt, share=share) == expected


def test_the_border_of_the_picture_is_an_outline():
    band = boundary_band(np.ones((10, 10), bool))
    assert band.sum() == 36 and not band[1:-1, 1:-1].any()


def test_empty_masks():
    empty, mask = np.zeros((20, 20), bool), np.eye(20, dtype=bool)
    assert boundary_iou(empty, empty) == 1
    assert boundary_iou(mask, empty) == 0
    assert boundary_accuracy(empty, empty) is None


def test_radii_grow_with_the_picture():
    assert boundary_radii(360, 314) == [1, 1, 1, 1, 1]
    assert boundary_radii(720, 1280) == [1, 2, 3, 4, 5]
    assert boundary_radii(2000, 2500) == [1, 3, 6, 9, 12]


def test_accuracy_by_hand():
    pred, gt = blobs(0).astype(int), blobs(1).astype(int)
    ys, xs = np.mgrid[-1:2, -1:2]
    cross = [(y, x) for y, x in zip(ys.flat, xs.flat, strict=True) if abs(y) + abs(x) <= 1]
    near = np.zeros(gt.shape, bool)
    for y in range(1, 39):
        for x in range(1, 55):
            values = {gt[y + dy, x + dx] for dy, dx in cross}
            near[y, x] = len(values) > 1
    assert boundary_accuracy(pred, gt) == pytest.approx((pred == gt)[near].mean())
    valid = np.ones(gt.shape, bool)
    valid[:, :30] = False
    expected = (pred == gt)[near & valid].mean()
    assert boundary_accuracy(pred, gt, valid=valid) == pytest.approx(expected)


def sample(pred, gt):
    return dict(
        pred_sem_seg=dict(data=_tensor(pred)), gt_sem_seg=dict(data=_tensor(gt)), img_path='a.png'
    )


def _tensor(map_):
    import torch

    return torch.from_numpy(np.asarray(map_).astype(np.int64))[None]


def test_metric_averages_over_images_then_classes():
    metric = BoundaryMetric()
    metric.dataset_meta = dict(classes=('background', 'a', 'b'))
    pairs = [(blobs(0), blobs(1)), (2 * blobs(2), 2 * blobs(3)), (2 * blobs(4), 2 * blobs(4))]
    # in two parts, as two processes would
    for pair in pairs:
        metric.process({}, [sample(*pair)])
    found = metric.compute_metrics(metric.results[2:] + metric.results[:2])
    first = boundary_iou(*pairs[0])
    second = (boundary_iou(blobs(2), blobs(3)) + 1) / 2
    assert found['BIoU'] == pytest.approx(50 * (first + second))
    accuracies = [boundary_accuracy(p, g, classes=(1, 2)) for p, g in pairs]
    assert found['mBA'] == pytest.approx(100 * np.mean(accuracies))


def test_metric_leaves_ignored_pixels_out_and_refuses_nothing():
    metric = BoundaryMetric()
    metric.dataset_meta = dict(classes=('background', 'a'))
    pred, gt = blobs(0).astype(int), blobs(1).astype(int)
    ignored = np.where(np.arange(56) < 28, 255, gt)
    metric.process({}, [sample(pred, ignored)])
    found = metric.compute_metrics(metric.results)
    valid = ignored != 255
    assert found['BIoU'] == pytest.approx(100 * boundary_iou(pred == 1, gt == 1, valid=valid))
    metric = BoundaryMetric()
    metric.dataset_meta = dict(classes=('background', 'a'))
    metric.process({}, [sample(0 * pred, 0 * gt)])
    with pytest.raises(ValueError, match='none of 1 images has an object with an outline'):
        metric.compute_metrics(metric.results)
