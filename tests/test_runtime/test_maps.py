"""Sizes of pictures and maps against torch and mmcv."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.datasets.transforms import Resize

from mmdiffseg.runtime.maps import by_windows, resize_maps, resize_picture

generator = np.random.default_rng(0)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(9, 31), (5, 8), (40, 17), (12, 12)])
def test_maps_are_resized_as_torch_does(size, align_corners):
    maps = generator.normal(size=(3, 12, 12)).astype(np.float32)
    expected = F.interpolate(
        torch.from_numpy(maps)[None], size, mode='bilinear', align_corners=align_corners
    )[0]
    found = resize_maps(maps, size, align_corners=align_corners)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    'options',
    [
        dict(scale=(40, 30), keep_ratio=True),
        dict(scale=(40, 30)),
        dict(scale_factor=0.5, keep_ratio=True),
        dict(scale=(61, 47), keep_ratio=True, backend='pillow'),
    ],
)
def test_pictures_are_resized_as_mmcv_does(options):
    pixels = generator.integers(0, 256, (37, 51, 3), dtype=np.uint8)
    expected = Resize(**options)(dict(img=pixels, img_shape=(37, 51)))['img']
    known = dict(scale=None, scale_factor=None, keep_ratio=False, backend='cv2')
    # as it comes out of JSON
    known.update({k: list(v) if isinstance(v, tuple) else v for k, v in options.items()})
    np.testing.assert_array_equal(resize_picture(pixels, **known), expected)


def test_windows_cover_an_image_and_are_averaged():
    image = generator.normal(size=(1, 3, 20, 33)).astype(np.float32)
    seen = []

    def read(part):
        seen.append(part.shape[2:])
        return part[0]

    found = by_windows(image, read, size=(8, 16), stride=(6, 11))
    np.testing.assert_allclose(found, image[0], atol=1e-6)
    assert set(seen) == {(8, 16)}
    assert len(seen) == 3 * 3


def test_a_small_image_is_one_window():
    image = np.ones((1, 3, 5, 7), dtype=np.float32)
    assert by_windows(image, lambda part: part[0], size=(8, 8), stride=(4, 4)).shape == (3, 5, 7)
