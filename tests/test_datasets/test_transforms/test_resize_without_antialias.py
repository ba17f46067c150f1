import numpy as np
import pytest

from mmdiffseg.registry import TRANSFORMS


def resize(image, labels, scale):
    transform = TRANSFORMS.build(dict(type='mmdiffseg.ResizeWithoutAntialias', scale=scale))
    results = dict(img=image, img_shape=image.shape[:2], gt_seg_map=labels)
    return transform({**results, 'seg_fields': ['gt_seg_map']})


def sampled(plane, size):
    """Bilinear samples at pixel centres, the definition written out."""
    height, width = plane.shape
    result = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = max((i + 0.5) * height / size[0] - 0.5, 0)
            x = max((j + 0.5) * width / size[1] - 0.5, 0)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            dy, dx = y - y0, x - x0
            top = (1 - dx) * plane[y0, x0] + dx * plane[y0, x1]
            low = (1 - dx) * plane[y1, x0] + dx * plane[y1, x1]
            result[i, j] = (1 - dy) * top + dy * low
    return result


@pytest.mark.parametrize('size', [(5, 4), (13, 31), (40, 28)])
def test_samples_the_definition(size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 28, 3), np.uint8)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (20, 28))
    results = resize(image, labels, size[::-1])
    assert results['img'].dtype == results['gt_seg_map'].dtype == np.uint8
    assert results['img_shape'] == size
    for channel in range(3):
        expected = sampled(image[..., channel].astype(float), size)
        np.testing.assert_allclose(results['img'][..., channel], expected, atol=0.501)
    rows = np.arange(size[0]) * 20 // size[0]
    columns = np.arange(size[1]) * 28 // size[1]
    np.testing.assert_array_equal(results['gt_seg_map'], labels[np.ix_(rows, columns)])


def test_does_not_average_when_it_shrinks():
    image = np.zeros((16, 16, 3), np.uint8)
    image[::2] = 255
    # every output pixel lies between the pixels 1 and 2 of its four
    results = resize(image, np.zeros((16, 16), np.uint8), (4, 4))
    np.testing.assert_array_equal(results['img'], 128)


def test_leaves_labels_that_are_not_loaded_yet():
    transform = TRANSFORMS.build(dict(type='mmdiffseg.ResizeWithoutAntialias', scale=(4, 2)))
    results = transform(dict(img=np.zeros((8, 8, 3), np.uint8), seg_fields=[]))
    assert results['img'].shape == (2, 4, 3)
    assert results['scale_factor'] == (0.5, 0.25)
