import re

import numpy as np
import pytest

from mmdiffseg.datasets.transforms import CheckLabels
from mmdiffseg.registry import TRANSFORMS


def results(labels):
    return dict(seg_map_path='labels/train/a.png', gt_seg_map=np.array(labels, np.uint8))


def test_class_ids_and_ignore_pass_unchanged():
    check = TRANSFORMS.build(dict(type='mmdiffseg.CheckLabels', num_classes=3))
    sample = results([[0, 1], [2, 255]])
    assert check(sample) is sample
    np.testing.assert_array_equal(sample['gt_seg_map'], [[0, 1], [2, 255]])


def test_label_outside_the_classes():
    sentence = (
        'labels/train/a.png holds labels outside [0, 3) that are not ignore_index=255: 3, 7; '
        'correct num_classes, map them to 255, or set reduce_zero_label=True if classes count '
        'from 1.'
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        CheckLabels(num_classes=3)(results([[0, 7], [3, 255]]))


def test_ignore_index_is_the_one_exception():
    CheckLabels(num_classes=3, ignore_index=9)(results([[0, 9]]))
    with pytest.raises(ValueError, match='not ignore_index=9: 255; .* map them to 9'):
        CheckLabels(num_classes=3, ignore_index=9)(results([[9, 255]]))


def test_colour_image_instead_of_labels():
    sentence = 'labels/train/a.png is a colour image of shape (2, 2, 3): labels must be PNGs'
    with pytest.raises(ValueError, match=re.escape(sentence)):
        CheckLabels(num_classes=3)(results(np.zeros((2, 2, 3))))


def test_inference_has_no_labels():
    sample = dict(img_path='a.jpg')
    assert CheckLabels(num_classes=3)(sample) is sample
