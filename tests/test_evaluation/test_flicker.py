import cv2
import numpy as np
import pytest
import torch

from mmdiffseg.evaluation import BoundaryFlickerMetric, boundary_flicker, outline_offsets
from mmdiffseg.evaluation.flicker import excess_change


def disk(x, radius=20, size=(100, 140)):
    ys, xs = np.mgrid[: size[0], : size[1]]
    return (ys - 50) ** 2 + (xs - x) ** 2 < radius**2


MOVING = [disk(40 + 5 * t) for t in range(6)]


def changed(mask, pixels):
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    return (cv2.dilate if pixels > 0 else cv2.erode)(mask.astype(np.uint8), kernel) > 0


def offsets_by_hand(pred, gt):
    """Sums over all pixels, without a distance transform or morphology."""
    ys, xs = gt.nonzero()
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    sectors = [[] for _ in range(16)]
    for y, x in zip(ys, xs, strict=True):
        if all(gt[y + dy, x + dx] for dy, dx in around):
            continue
        others = np.argwhere(pred != pred[y, x])
        distance = min(np.hypot(*(others - (y, x)).T).min(), 40)
        angle = np.arctan2(y - ys.mean(), x - xs.mean())
        sector = min(int((angle + np.pi) / (2 * np.pi) * 16), 15)
        sectors[sector].append(distance if pred[y, x] else -distance)
    return [np.mean(found) if found else np.nan for found in sectors]


def test_offsets_by_hand():
    gt, pred = np.zeros((2, 60, 60), bool)
    gt[20:40, 20:40] = True
    pred[20:40, 20:44] = True  # 4 pixels further to the right
    far = np.zeros((100, 140), bool)
    far[45:55, 130:136] = True
    pairs = [(pred, gt), (gt, pred), (disk(40, 17), disk(44)), (disk(44), disk(40, 17))]
    for pair in [*pairs, (far, disk(40)), (disk(40, 3), disk(44, 4))]:
        np.testing.assert_allclose(outline_offsets(*pair), offsets_by_hand(*pair), atol=1e-5)
    assert outline_offsets(pred, gt)[8] == pytest.approx(5, abs=1e-5)  # looking right
    assert outline_offsets(gt, pred)[8] == pytest.approx(-4, abs=1e-5)
    np.testing.assert_allclose(outline_offsets(gt, gt), 1)


def test_steady_errors_and_motion_are_no_flicker():
    assert boundary_flicker(MOVING, MOVING) == 0
    assert boundary_flicker([changed(m, 3) for m in MOVING], MOVING) < 0.3


def test_alternating_errors_are():
    flickering = [changed(m, 3 if t % 2 else -3) for t, m in enumerate(MOVING)]
    # three pixels either way, and one because the outline's pixels belong to one side
    assert boundary_flicker(flickering, MOVING) == pytest.approx(7, abs=0.5)
    late = boundary_flicker([MOVING[max(t - 1, 0)] for t in range(6)], MOVING)
    assert late < 2


def test_change_beyond_that_of_the_truth():
    assert excess_change(MOVING, MOVING) == 0
    assert excess_change(MOVING[:1] * 6, MOVING) < -0.2
    growing, truth = np.zeros((2, 3, 20, 20), bool)
    for t, right in enumerate((10, 12, 16)):
        truth[t, :, : 10 + t] = growing[t, :, :right] = True
    # 40 and 80 pixels change, 20 of them in truth, of 210 and 230 on average
    assert excess_change(growing, truth) == pytest.approx((20 / 210 + 60 / 230) / 2)
    assert excess_change(growing, 0 * truth) is None


def test_frames_without_an_object_are_left_out():
    empty = np.zeros_like(MOVING[0])
    preds = [MOVING[0], empty, MOVING[2], changed(MOVING[3], 2)]
    expected = boundary_flicker(preds[2:], MOVING[2:4])
    assert boundary_flicker(preds, MOVING[:4]) == expected
    assert boundary_flicker([empty, empty], MOVING[:2]) is None
    assert outline_offsets(MOVING[0], np.ones_like(empty)) is None


def samples(video, preds, gts):
    def data(mask):
        return dict(data=torch.from_numpy(mask.astype(np.int64))[None])

    return [
        dict(pred_sem_seg=data(p), gt_sem_seg=data(g), video=video, frame=t, img_path=f'{t}.png')
        for t, (p, g) in enumerate(zip(preds, gts, strict=True))
    ]


def test_metric_puts_frames_in_order_wherever_they_come_from():
    flickering = [changed(m, 3 if t % 2 else -3) for t, m in enumerate(MOVING)]
    metric = BoundaryFlickerMetric()
    rows = samples('a', flickering, MOVING) + samples('b', MOVING, MOVING)
    for k in np.random.default_rng(0).permutation(len(rows)):
        metric.process({}, [rows[k]])
    found = metric.compute_metrics(metric.results)
    assert found['BF'] == pytest.approx(boundary_flicker(flickering, MOVING) / 2)
    overlap = np.mean(
        [(p & g).sum() / (p | g).sum() for p, g in zip(flickering, MOVING, strict=True)]
    )
    assert found['J'] == pytest.approx(50 * (overlap + 1))


def test_metric_takes_only_neighbouring_frames():
    metric = BoundaryFlickerMetric()
    rows = samples('a', MOVING, MOVING)
    metric.process({}, [rows[0], rows[2], rows[4]])
    with pytest.raises(ValueError, match='no two consecutive frames'):
        metric.compute_metrics(metric.results)
