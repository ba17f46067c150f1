import pytest
import torch
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample

from mmdiffseg.registry import MODELS

ON, OFF = 8.0, -8.0


def fuse(cls_scores, masks, *, things=2, stuff=2, sample=None, rescale=False, **test_cfg):
    head = MODELS.build(
        dict(
            type='mmdiffseg.UniversalFusionHead',
            num_things_classes=things,
            num_stuff_classes=stuff,
            test_cfg=dict(dict(max_per_image=3, filter_low_score=True), **test_cfg),
        )
    )
    if sample is None:
        sample = DetDataSample(metainfo=dict(img_shape=masks.shape[1:], ori_shape=masks.shape[1:]))
    (result,) = head.predict(cls_scores[None], masks[None], [sample], rescale=rescale)
    return result, sample


def logits_of(*probs):
    return torch.tensor(probs).clamp(min=1e-6).log()


@pytest.fixture
def masks():
    """Two overlapping objects, a wall in two parts, and one query that sees nothing certain."""
    masks = torch.full((5, 6, 8), OFF)
    masks[0, :3, :4] = ON
    masks[1, 2:5, 2:6] = ON  # 1 of 12 pixels under the first
    masks[1, 2, 2:4] = OFF
    masks[2, 5] = ON
    masks[3, :2, 6:] = ON
    masks[4] = ON
    return masks


CLASSES = logits_of(
    [0.95, 0.01, 0.01, 0.01, 0.02],
    [0.90, 0.02, 0.02, 0.02, 0.04],
    [0.01, 0.01, 0.01, 0.95, 0.02],
    [0.01, 0.01, 0.01, 0.90, 0.07],
    [0.30, 0.10, 0.10, 0.10, 0.40],  # likely nothing
)


def test_all_tasks_of_one_prediction(masks):
    result, sample = fuse(CLASSES, masks, instance_on=True, semantic_on=True)
    panoptic = result['pan_results'].sem_seg[0]
    assert panoptic[0, 0] == 0 + 1 * INSTANCE_OFFSET
    assert panoptic[4, 4] == 0 + 2 * INSTANCE_OFFSET
    assert panoptic[5, 0] == panoptic[0, 7] == 3  # one segment of stuff
    assert panoptic[4, 0] == 4  # void
    instances = result['ins_results']
    assert instances.labels.tolist() == [0] * len(instances.labels)  # things only
    best = instances.scores.argmax()
    assert torch.equal(instances.masks[best], masks[0] > 0)
    assert instances.scores[best].item() == pytest.approx(0.95, abs=1e-3)
    semantic = sample.pred_sem_seg.sem_seg
    assert semantic.shape == (1, 6, 8)
    assert semantic[0, 0, 0] == 0 and semantic[0, 5, 7] == 3


def test_tasks_are_chosen(masks):
    result, sample = fuse(CLASSES, masks)
    assert result.keys() == {'pan_results'} and 'pred_sem_seg' not in sample
    result, sample = fuse(CLASSES, masks, panoptic_on=False, instance_on=True)
    assert result.keys() == {'ins_results'}
    result, sample = fuse(CLASSES, masks, panoptic_on=False, semantic_on=True)
    assert result == {} and 'pred_sem_seg' in sample


def test_a_mostly_hidden_object_is_left_out(masks):
    masks[1] = masks[0]
    masks[1, :3, 4] = ON  # 3 of 15 pixels are its own
    panoptic = fuse(CLASSES, masks)[0]['pan_results'].sem_seg[0]
    assert panoptic[0, 0] == INSTANCE_OFFSET
    assert panoptic[0, 4] == 4


def test_uncertain_queries_leave_void(masks):
    panoptic = fuse(CLASSES * 0, masks)[0]['pan_results'].sem_seg
    assert panoptic.unique().tolist() == [4]


def test_padding_is_cut_off_before_masks_are_resized(masks):
    sample = DetDataSample(metainfo=dict(img_shape=(5, 6), ori_shape=(10, 12)))
    result, sample = fuse(
        CLASSES, masks, sample=sample, rescale=True, instance_on=True, semantic_on=True
    )
    assert result['pan_results'].sem_seg.shape == (1, 10, 12)
    assert result['ins_results'].masks.shape[1:] == (10, 12)
    semantic = sample.pred_sem_seg.sem_seg
    assert semantic.shape == (1, 10, 12)
    assert (semantic != 3).all()  # the wall lies in the padding


def test_more_instances_than_candidates_are_refused(masks):
    with pytest.raises(ValueError, match='max_per_image is 21, but 5 queries of 4 classes make 20'):
        fuse(CLASSES, masks, instance_on=True, max_per_image=21)
