import numpy as np
import pytest
from mmcv.transforms import BaseTransform

from mmdiffseg.datasets import CamVidFlipsDataset, CityscapesFlipsDataset
from mmdiffseg.registry import TRANSFORMS

TWINS = [(1, 19), (11, 20), (13, 21), (8, 22), (0, 23)]
PROBABILITIES = [8 / 17, 7 / 17, 6 / 17, 5 / 17, 4 / 17]


def build(**options) -> BaseTransform:
    return TRANSFORMS.build(dict(type='mmdiffseg.FlipClasses', **{'twins': TWINS, **options}))


def run(transform, labels):
    return transform(dict(gt_seg_map=labels, seg_fields=['gt_seg_map']))


@pytest.fixture
def labels():
    return np.array([[1, 11, 13, 8, 0, 255, 5]], np.uint8)


def test_all_32_modes_of_probabilistic_unet(labels):
    results = run(build(probabilities=PROBABILITIES, all_modes=True), labels)
    maps, weights = results['gt_raters'].transpose(2, 0, 1), results['rater_weights']
    assert maps.shape == (32, 1, 7)
    assert sum(weights) == pytest.approx(1)
    # the first twin is the most significant bit
    assert maps[0, 0].tolist() == [1, 11, 13, 8, 0, 255, 5]
    assert maps[1, 0].tolist() == [1, 11, 13, 8, 23, 255, 5]
    assert maps[0b10010, 0].tolist() == [19, 11, 13, 22, 0, 255, 5]
    assert weights[0b10010] == pytest.approx(8 * 10 * 11 * 5 * 13 / 17**5)
    assert results['gt_seg_map'] is labels
    assert 'gt_raters' in results['seg_fields']


def test_modes_that_differ_in_absent_classes_only_are_one():
    results = run(build(probabilities=PROBABILITIES, all_modes=True), np.array([[1, 5]], np.uint8))
    assert results['gt_raters'].shape == (1, 2, 2)
    np.testing.assert_allclose(results['rater_weights'], [9 / 17, 8 / 17])
    assert results['raters'] == ['mode1', 'mode2']


def test_classes_may_flip_together(labels):
    modes = [(0.5, []), (0.3, [0, 1]), (0.2, [8, 13]), (0.0, [0])]
    results = run(build(modes=modes, all_modes=True), labels)
    assert results['rater_weights'] == [0.5, 0.3, 0.2]
    drawn = []
    np.random.seed(0)
    for _ in range(1000):
        flipped = run(build(modes=modes), labels)['gt_seg_map'][0]
        drawn.append(tuple(flipped[[0, 2, 3, 4]].tolist()))
    seen = {mode: drawn.count(mode) / 1000 for mode in set(drawn)}
    expected = {(1, 13, 8, 0): 0.5, (19, 13, 8, 23): 0.3, (1, 21, 22, 0): 0.2}
    assert seen.keys() == expected.keys()
    for mode, share in expected.items():
        assert seen[mode] == pytest.approx(share, abs=0.06)
    assert labels[0].tolist() == [1, 11, 13, 8, 0, 255, 5]


def test_results_without_labels_pass():
    assert build(probabilities=PROBABILITIES)(dict(img=None)) == dict(img=None)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'either probabilities'),
        (dict(probabilities=PROBABILITIES, modes=[(1.0, [])]), 'either probabilities'),
        (dict(probabilities=[0.5]), '1 probabilities for 5 twins'),
        (dict(probabilities=[1.5, 0, 0, 0, 0]), 'must not be negative'),
        (dict(modes=[(0.5, [])]), 'add up to 1, got 0.5'),
        (dict(modes=[(1.0, [3])]), 'modes flip class 3, which has no twin'),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_data_sets_name_the_twins():
    camvid, cityscapes = CamVidFlipsDataset.METAINFO, CityscapesFlipsDataset.METAINFO
    assert camvid['classes'][11:] == ('pavement_2', 'pedestrian_2', 'car_2', 'tree_2', 'road_2')
    assert cityscapes['classes'][19:] == (
        'sidewalk_2',
        'person_2',
        'car_2',
        'vegetation_2',
        'road_2',
    )
    for metainfo in (camvid, cityscapes):
        assert len(metainfo['palette']) == len(metainfo['classes'])
        assert len({tuple(color) for color in metainfo['palette']}) == len(metainfo['palette'])
