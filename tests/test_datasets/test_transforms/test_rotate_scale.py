import cv2
import numpy as np
import torch

from mmdiffseg.registry import TRANSFORMS


def rotate_scale(image, labels, **ranges):
    transform = TRANSFORMS.build(dict(type='mmdiffseg.RandomRotateScale', **ranges))
    return transform(dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map']))


def scene(size=(40, 56)):
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), np.uint8), (0, 0), 4)
    labels = (image[..., 0] > 127).astype(np.uint8)
    labels[:3] = 255
    return image, labels


def test_identity():
    image, labels = scene()
    results = rotate_scale(image, labels, degrees=(0, 0), scale=(1, 1))
    np.testing.assert_array_equal(results['img'], image)
    np.testing.assert_array_equal(results['gt_seg_map'], labels)


def test_half_a_turn_is_about_the_centre_of_the_picture():
    image, labels = scene()
    results = rotate_scale(image, labels, degrees=(180, 180), scale=(1, 1))
    # Pillow cuts off what the cosine's last digit takes away
    np.testing.assert_allclose(results['img'], image[::-1, ::-1], atol=1)
    np.testing.assert_array_equal(results['gt_seg_map'], labels[::-1, ::-1])


def test_image_and_labels_move_together_and_black_background_comes_in():
    labels = np.ones((40, 56), np.uint8)
    image = np.full((40, 56, 3), 200, np.uint8)
    results = rotate_scale(image, labels, degrees=(20, 20), scale=(0.75, 0.75))
    moved = results['gt_seg_map']
    assert set(np.unique(moved)) == {0, 1}
    # 0.75^2 of the area; a row of pixels along the outline may differ
    assert abs(moved.sum() - 0.5625 * moved.size) < 0.05 * moved.size
    assert moved[0, 0] == 0 and not results['img'][0, 0].any()
    inner = cv2.erode(moved, np.ones((3, 3), np.uint8)) == 1
    assert (results['img'][inner] == 200).all()
    outer = cv2.dilate(moved, np.ones((3, 3), np.uint8)) == 0
    assert not results['img'][outer].any()


def test_image_is_interpolated_and_labels_are_not():
    image, labels = scene()
    results = rotate_scale(image, labels, degrees=(13, 13), scale=(1.25, 1.25))
    assert set(np.unique(results['gt_seg_map'])) <= {0, 1, 255}
    # the same map from output to input pixel centres, by OpenCV
    matrix = cv2.getRotationMatrix2D((28, 20), -13, 1.25)
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    expected = cv2.warpAffine(image, matrix, (56, 40), flags=cv2.INTER_LINEAR)
    middle = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(results['img'][middle], expected[middle], atol=3)


def test_draws_from_the_ranges_by_torchs_generator():
    ranges = dict(degrees=(-22, 22), scale=(0.75, 1.25))
    pictures = []
    for seed in (3, 4, 3):
        torch.manual_seed(seed)
        pictures.append(rotate_scale(*scene(), **ranges)['img'])
    np.testing.assert_array_equal(pictures[0], pictures[2])
    assert (pictures[0] != pictures[1]).any()
