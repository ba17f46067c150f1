"""Merging of masks in numpy against that of mmdet and of the heads in torch."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from mmdiffseg.apis.segments import read_instances, read_panoptic
from mmdiffseg.models.dformer import mask_classification
from mmdiffseg.registry import MODELS
from mmdiffseg.runtime.chains import Step
from mmdiffseg.runtime.mask_readouts import MaskClasses, Objects

THINGS, STUFF, SLOTS, SIZE = 3, 2, 12, (31, 45)
FUSION = dict(
    panoptic_on=True,
    instance_on=True,
    semantic_on=True,
    object_mask_thr=0.4,
    iou_thr=0.3,
    filter_low_score=True,
    max_per_image=15,
)


def predicted(seed, rows=1):
    """Class logits and smooth masks, sure of some things."""
    generator = torch.Generator().manual_seed(seed)
    cls_scores = 3 * torch.randn(rows, SLOTS, THINGS + STUFF + 1, generator=generator)
    coarse = 4 * torch.randn(rows, SLOTS, 5, 6, generator=generator)
    masks = torch.nn.functional.interpolate(coarse, SIZE, mode='bicubic')
    return cls_scores, masks


def step(cls_scores, masks, index=0):
    return Step(index=index, cls_scores=cls_scores.numpy(), masks=masks.numpy())


def objects(cls_scores, masks, **changes):
    """What torch and numpy say of one prediction."""
    cfg = {**FUSION, **changes}
    fusion = MODELS.build(
        dict(
            type='mmdiffseg.UniversalFusionHead',
            num_things_classes=THINGS,
            num_stuff_classes=STUFF,
            test_cfg=cfg,
        )
    )
    sample = DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE))
    (expected,) = fusion.predict(cls_scores, masks, [sample], rescale=True)
    options = dict(classes=THINGS + STUFF, things=THINGS, every_step=False, **cfg)
    readout = Objects(options)
    maps = readout.read([[step(cls_scores, masks)]], lambda maps: maps)
    return expected, sample, readout.fields(maps)


def same_segments(found, expected):
    assert len(found) == len(expected) > 1
    for one, other in zip(found, expected, strict=True):
        assert one.label == other.label
        assert one.score == other.score or abs(one.score - other.score) < 1e-5
        assert (one.mask == other.mask).all()


@pytest.mark.parametrize('filter_low_score', [False, True])
@pytest.mark.parametrize('seed', range(4))
def test_panoptic_segments_are_those_of_mmdet(seed, filter_low_score):
    expected, _, found = objects(
        *predicted(seed), instance_on=False, semantic_on=False, filter_low_score=filter_low_score
    )
    ids = expected['pan_results'].sem_seg[0].numpy()
    segments, labels = read_panoptic(ids, THINGS + STUFF)
    same_segments(found['segments'], segments)
    np.testing.assert_array_equal(found['labels'], labels)


@pytest.mark.parametrize('seed', range(4))
def test_instances_are_those_of_mmdet(seed):
    expected, _, found = objects(*predicted(seed), panoptic_on=False, semantic_on=False)
    theirs = expected['ins_results']
    segments, labels = read_instances(
        *(part.numpy() for part in (theirs.labels, theirs.scores, theirs.masks)), SIZE
    )
    same_segments(found['segments'], segments)
    np.testing.assert_array_equal(found['labels'], labels)
    assert [segment.score for segment in segments] == sorted(
        (segment.score for segment in segments), reverse=True
    )


def test_classes_and_objects_of_one_prediction():
    _, sample, found = objects(*predicted(0))
    np.testing.assert_array_equal(found['labels'], sample.pred_sem_seg.sem_seg[0])
    assert found['segments'][0].score is not None  # the instances


def test_nothing_certain_is_nothing():
    _, _, found = objects(*predicted(0), object_mask_thr=1.0, instance_on=False, semantic_on=False)
    assert found['segments'] == [] and (found['labels'] == 255).all()


@pytest.mark.parametrize('every_step', [False, True])
def test_slots_of_generations_and_steps_come_together(every_step):
    parts = {(g, i): predicted(10 * g + i, rows=2) for g in range(2) for i in range(3)}
    predictions = {k: mask_classification.MaskPrediction(*v) for k, v in parts.items()}
    ends = [
        mask_classification.average([predictions[g, i] for i in (range(3) if every_step else (2,))])
        for g in range(2)
    ]
    gathered = mask_classification.gather_slots(ends, 1)
    expected = mask_classification.class_scores(*gathered)[0] / 4
    options = dict(classes=THINGS + STUFF, uncertainty=None, every_step=every_step)
    readout = MaskClasses(options)
    chains = [[step(*parts[g, i], index=i) for i in range(3)] for g in range(2)]
    found = readout.fields(readout.read(chains, lambda maps: maps))
    probs = (expected / expected.sum(dim=0)).numpy()
    np.testing.assert_allclose(found['probability'], probs, atol=1e-5)
    np.testing.assert_array_equal(found['labels'], expected.argmax(dim=0))


def test_masks_are_resized_before_their_classes_come_together():
    cls_scores, masks = predicted(0)
    sizes = []

    def resize(maps):
        sizes.append(maps.shape)
        return maps.repeat(2, axis=1)

    options = dict(classes=5, uncertainty='entropy', every_step=False)
    readout = MaskClasses(options)
    maps = readout.read([[step(0 * cls_scores, masks)]], resize)
    assert sizes == [(SLOTS, *SIZE), (1, *SIZE)] and maps.shape == (6, 62, 45)
    np.testing.assert_allclose(readout.fields(maps)['uncertainty'], 1, atol=1e-6)
