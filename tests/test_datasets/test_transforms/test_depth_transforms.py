import numpy as np
import pytest
from mmseg.datasets.transforms import RandomFlip, RandomRotate

from mmdiffseg.datasets.transforms import (
    CheckDepth,
    ColorAug,
    DecodeSUNRGBDDepth,
    KBCrop,
    NYUCrop,
)


def loaded(height=375, width=1242):
    rng = np.random.default_rng(0)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), np.uint8),
        img_path='a.png',
        depth_map_path='a_depth.png',
        gt_depth_map=rng.uniform(1, 9, (height, width)).astype(np.float32),
        seg_fields=['gt_depth_map'],
        ori_shape=(height, width),
    )


def test_kb_crop_is_at_the_bottom_in_the_middle():
    before, after = loaded(), KBCrop()(loaded())
    assert after['ori_shape'] == after['img_shape'] == (352, 1216)
    np.testing.assert_array_equal(after['img'], before['img'][23:375, 13:1229])
    np.testing.assert_array_equal(after['gt_depth_map'], before['gt_depth_map'][23:375, 13:1229])
    left, top, right, bottom = after['window']
    np.testing.assert_array_equal(after['img'], before['img'][top:bottom, left:right])


def test_nyu_crop_and_images_without_depth():
    before, after = loaded(480, 640), loaded(480, 640)
    del after['gt_depth_map'], after['seg_fields']
    after = NYUCrop()(after)
    np.testing.assert_array_equal(after['img'], before['img'][45:472, 43:608])


@pytest.mark.parametrize('crop', [KBCrop(), NYUCrop()])
def test_images_too_small_to_crop(crop):
    with pytest.raises(ValueError, match='a.png is 600x300, too small to crop'):
        crop(loaded(300, 600))


def test_color_aug_by_hand():
    fixed = ColorAug(
        prob=1, gamma_range=(0.9, 0.9), brightness_range=(1.5, 1.5), color_range=(1.1, 1.1)
    )
    before, after = loaded(4, 5), fixed(loaded(4, 5))
    expected = np.minimum(1.1 * 1.5 * before['img'].astype(float) ** 0.9, 255)
    assert after['img'].dtype == np.float32
    np.testing.assert_allclose(after['img'], expected, rtol=1e-5)
    untouched = ColorAug(prob=0)(loaded(4, 5))
    np.testing.assert_array_equal(untouched['img'], before['img'])


def test_color_aug_draws_a_factor_per_channel():
    np.random.seed(0)
    results = loaded(4, 5)
    results['img'][:] = 100
    image = ColorAug(prob=1)(results)['img']
    assert len({*image[0, 0].tolist()}) == 3
    assert ((image > 50) & (image < 200)).all()


def test_turned_and_flipped_depth_stays_depth():
    results = loaded(40, 60)
    values = {0.0, *results['gt_depth_map'].flatten().tolist()}
    results = RandomRotate(prob=1.0, degree=(2.5, 2.5001), pad_val=0, seg_pad_val=0)(results)
    results = RandomFlip(prob=1.0)(results)
    depth = results['gt_depth_map']
    assert depth.dtype == np.float32 and depth.shape == (40, 60)
    assert {*depth.flatten().tolist()} <= values and (depth == 0).any()


def test_sun_rgbd_depths_are_rotated_back():
    millimetres = np.array([[0, 1, 1234, 8191, 8192, 65535]], np.uint16)
    stored = (millimetres << 3) | (millimetres >> 13)
    results = DecodeSUNRGBDDepth()(dict(gt_depth_map=stored.astype(np.float32)))
    np.testing.assert_allclose(results['gt_depth_map'], millimetres / 1000, rtol=1e-6)
    assert DecodeSUNRGBDDepth()({}) == {}


def spoilt(value, rows=1):
    results = loaded(4, 5)
    results['gt_depth_map'][:rows] = value
    return results


@pytest.mark.parametrize(
    'results, sentence',
    [
        (spoilt(0, rows=4), 'a_depth.png is 0 everywhere, nothing was measured'),
        (spoilt(np.nan), 'a_depth.png holds nan in 5 pixels'),
        (spoilt(np.inf), 'a_depth.png holds inf in 5 pixels'),
        (spoilt(-2), 'a_depth.png holds -2.0 in 5 pixels'),
        (spoilt(2500, rows=3), r'around 2500, up to 2500, above max_depth=10 m: set depth_rescale'),
        (loaded(4, 5) | dict(gt_depth_map=np.ones((4, 5, 3))), r'is an image of shape \(4, 5, 3\)'),
        (loaded(4, 5) | dict(gt_depth_map=np.ones((4, 6))), 'a.png is 5x4 and .* is 6x4'),
    ],
)
def test_what_holds_no_depths_is_refused(results, sentence):
    with pytest.raises(ValueError, match=sentence):
        CheckDepth(max_depth=10)(results)


def test_good_depths_pass():
    for results in (loaded(4, 5), spoilt(0), spoilt(12), {}):
        assert CheckDepth(max_depth=10)(results) is results
