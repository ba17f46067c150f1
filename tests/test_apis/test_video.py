import cv2
import numpy as np
import pytest

from mmdiffseg.apis.video import is_cut, move


def frame(x, size=(48, 64)):
    """A bright textured square on a dark textured ground."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 90, (*size, 3)).astype(np.uint8), (5, 5), 0)
    square = cv2.GaussianBlur(rng.integers(120, 255, (20, 20, 3)).astype(np.uint8), (5, 5), 0)
    ground[14:34, x : x + 20] = square
    return ground


def square(x):
    mask = np.zeros((48, 64), np.uint8)
    mask[14:34, x : x + 20] = 1
    return mask


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize('method', ['dis', 'farneback'])
def test_masks_move_along(method):
    moved = move(square(10), frame(10), frame(14), method=method)
    assert iou(moved > 0, square(14) > 0) > iou(square(10) > 0, square(14) > 0) + 0.1
    soft = np.stack([1 - square(10), square(10)]).astype(np.float32) * 0.8 + 0.1
    moved = move(soft, frame(10), frame(14), method=method)
    assert moved.shape == soft.shape and 0 <= moved.min() <= moved.max() <= 1
    assert iou(moved[1] > 0.5, square(14) > 0) > 0.8
    still = move(square(10), frame(10), frame(10), method=method)
    assert np.array_equal(still, square(10))


def test_cuts():
    assert not is_cut(frame(10), frame(14))
    assert is_cut(frame(10), 255 - frame(10))
    assert is_cut(frame(10), frame(10)[:40])


@pytest.fixture
def calls(tiny):
    """What the chains of a model start from, call by call."""
    found, chains = [], tiny.model.decode_head.chains

    def watched(features, metas, draws=None, start=None, *, steps=None):
        found.append((start, steps, metas[0]['img_path']))
        return chains(features, metas, draws, start, steps=steps)

    tiny.model.decode_head.chains = watched
    return found


def test_every_frame_starts_from_the_one_before(tiny, calls):
    frames = [frame(10), frame(12), frame(14)]
    results = list(tiny.video(frames, strength=0.4, name='clip'))
    assert [result.labels.shape for result in results] == [(48, 64)] * 3
    starts, steps, names = zip(*calls, strict=True)
    assert starts[0] is None and all(start.strength == 0.4 for start in starts[1:])
    assert steps == (None, 1, 1) and set(names) == {'clip'}
    np.testing.assert_allclose(starts[1].map[0].numpy(), results[0].probability, atol=1e-6)


def test_a_first_mask_and_a_cut(tiny, calls):
    frames = [frame(10), frame(12), 255 - frame(12), 255 - frame(14)]
    results = list(tiny.video(frames, square(10), strength=0.4, steps=2))
    assert [start is None for start, *_ in calls] == [False, False, True, False]
    assert [bool(result.notes) for result in results] == [False, False, True, False]
    assert results[2].notes == ['frame 2 begins a new scene']


def test_a_refiner_follows_a_mask(load_untrained):
    model = load_untrained('refine/refine_tiny_mixed')
    model.model.test_cfg.update(size=32)
    results = list(model.video([frame(10), frame(12)], square(10), flow='dis'))
    assert [result.labels.shape for result in results] == [(48, 64)] * 2
    with pytest.raises(ValueError, match='frame 1 is 64x40, the one before 64x48'):
        list(model.video([frame(10), frame(12)[:40]], square(10)))
    with pytest.raises(ValueError, match='give first_mask'):
        list(model.video([frame(10)]))
    with pytest.raises(ValueError, match="flow must be one of .*, got 'raft'"):
        list(model.video([frame(10)], square(10), flow='raft'))
