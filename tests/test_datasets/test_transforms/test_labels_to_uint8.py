import numpy as np
import pytest

from mmdiffseg.datasets.transforms import LabelsToUint8


def test_values_stay():
    labels = np.array([[0, 132], [255, 7]], np.int32)
    narrow = LabelsToUint8()(dict(gt_seg_map=labels))['gt_seg_map']
    assert narrow.dtype == np.uint8
    assert (narrow == labels).all()


def test_large_labels_are_refused():
    with pytest.raises(ValueError, match='label 300 does not fit'):
        LabelsToUint8()(dict(gt_seg_map=np.array([[300]], np.int32)))
