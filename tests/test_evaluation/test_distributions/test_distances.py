import numpy as np
import pytest

from mmdiffseg.evaluation.distributions import class_ious, label_distances, max_matching


def test_distances_equal_those_of_ccdm(masks):
    labels, samples = masks['labels'].numpy(), masks['samples'].numpy()
    classes = range(1, labels.max() + 1)
    for image, expected in enumerate(masks['distance'].numpy()):
        actual = label_distances(labels[image], samples[image], classes=classes)
        np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_ious_equal_those_of_probabilistic_unet(flips):
    seg = flips['seg'][0, 0].numpy()
    samples = flips['samples'][:, 0, 0].numpy()
    classes = flips['eval_class_ids']
    modes = np.stack([seg.copy() for _ in flips['switch']])
    for mode, switches in zip(modes, flips['switch'].numpy(), strict=True):
        for number, switched in enumerate(switches):
            if switched:
                mode[seg == classes[number]] = classes[5 + number]
    valid = seg != 255
    ious = class_ious(modes[:, valid], samples[:, valid], classes=classes)
    # NaN where a class is in neither map, on both sides
    np.testing.assert_allclose(1 - ious, flips['d_YS'].numpy(), atol=1e-6)


def test_a_class_that_neither_map_has():
    a, b = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
    assert label_distances(a, b, classes=[1, 2])[0, 0] == pytest.approx(1 - (2 / 3 + 1) / 2)
    left_out = label_distances(a, b, classes=[1, 2], empty='left_out')
    assert left_out[0, 0] == pytest.approx(1 - 2 / 3)
    assert label_distances(a, b, classes=[3], empty='left_out')[0, 0] == 0
    with pytest.raises(ValueError, match="empty must be one of .* got 'skip'"):
        label_distances(a, b, classes=[1], empty='skip')


def test_matching_takes_the_best_sample_of_each_rater():
    raters = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])
    samples = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    best = max_matching(raters, samples, classes=[1])
    assert best == dict(max_dice=0.5, best_iou=0.5)
    weighted = max_matching(raters, samples, classes=[1], weights=np.array([0.9, 0.1]))
    assert weighted['max_dice'] == pytest.approx(0.9)
    assert max_matching(samples[2:], samples[2:], classes=[1])['best_iou'] == 1


def test_counts_are_exact_on_many_pixels():
    a = np.zeros((1, 3_000_001), np.uint8)
    a[0, 1:] = 1
    b = np.ones_like(a)
    assert class_ious(a, b, classes=[1]).item() == 3_000_000 / 3_000_001
