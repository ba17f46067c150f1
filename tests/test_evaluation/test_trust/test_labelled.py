import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.evaluation.trust.labelled import with_truth


def make_sample(**maps):
    sample = SegDataSample(metainfo=dict(img_path='data/a.png'))
    for name, map_ in maps.items():
        sample.set_data({name: PixelData(data=torch.from_numpy(map_))})
    return sample


ANSWER = dict(
    probability=np.full((2, 4, 6), 0.5, np.float32), labels=np.zeros((4, 6), np.uint8), samples=None
)
TRUTH = np.zeros((1, 4, 6), np.uint8)


def test_one_truth():
    image = with_truth(ANSWER, make_sample(gt_sem_seg=TRUTH))
    assert image.path == 'data/a.png' and image.samples is None
    assert image.raters.shape == (1, 4, 6) and image.weights.tolist() == [1]


def test_equal_raters_are_one():
    sample = make_sample(gt_raters=np.concatenate([TRUTH, TRUTH + 1, TRUTH]))
    image = with_truth(ANSWER, sample)
    assert len(image.raters) == 2
    np.testing.assert_allclose(image.weights, [2 / 3, 1 / 3])
    sample.set_metainfo(dict(rater_weights=[0.2, 0.5, 0.3]))
    np.testing.assert_allclose(with_truth(ANSWER, sample).weights, [0.5, 0.5])


@pytest.mark.parametrize(
    ('answer', 'maps', 'sentence'),
    [
        (ANSWER, {}, 'data/a.png has no labels'),
        (dict(depth=TRUTH), dict(gt_sem_seg=TRUTH), 'data/a.png: the model gives no class prob'),
        (ANSWER, dict(gt_sem_seg=TRUTH[:, :2]), 'the labels are 6x2 and the prediction 6x4'),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(answer, maps, sentence):
    with pytest.raises(ValueError, match=sentence):
        with_truth(answer, make_sample(**maps))
