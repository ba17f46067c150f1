import math

import numpy as np
import pytest

from mmdiffseg.evaluation.distributions import (
    diversity,
    generalized_energy_distance,
    hungarian_iou,
    label_distances,
)


def test_scores_equal_those_of_ccdm(masks):
    labels, samples = masks['labels'].numpy(), masks['samples'].numpy()
    options = dict(classes=range(1, labels.max() + 1))
    for row, count in enumerate(masks['num_samples'].tolist()):
        for image in range(len(labels)):
            raters, drawn = labels[image], samples[image, :count]
            across = label_distances(raters, drawn, **options)
            among_samples = label_distances(drawn, drawn, **options)
            among_raters = label_distances(raters, raters, **options)
            for actual, name in (
                (generalized_energy_distance(across, among_samples, among_raters), 'ged'),
                (diversity(among_samples), 'diversity_samples'),
                (diversity(among_raters), 'diversity_raters'),
                (hungarian_iou(across), 'hm_iou'),
            ):
                assert actual == pytest.approx(masks[name][row, image].item(), abs=1e-12), name


def test_energy_equals_that_of_probabilistic_unet(flips):
    across, among_samples = (np.nanmean(flips[name].numpy(), axis=-1) for name in ('d_YS', 'd_SS'))
    # distances of a mode to a mode, from the switches: the classes that either has
    switch = flips['switch'].numpy()[:, [0, 3, 4]]  # the three classes of this image
    either = 6 - (switch[:, None] == switch[None]).sum(axis=-1)  # a class or its twin, or both
    same = (switch[:, None] == switch[None]).sum(axis=-1)
    among_modes = 1 - same / either
    weights = flips['mode_probs'].double().numpy()
    for count in (1, 4, 6):
        parts = (across[:, :count], among_samples[:count, :count], among_modes)
        for name, options in (('weighted', dict(weights=weights)), ('unweighted', {})):
            expected = flips[f'energy_{name}_n{count}'].item()
            actual = generalized_energy_distance(*parts, **options)
            assert actual == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def some():
    maps = np.random.default_rng(0).integers(0, 2, (5, 60))
    return label_distances(maps, maps, classes=[1])


def test_a_set_has_no_distance_to_itself(some):
    assert generalized_energy_distance(some, some, some) == pytest.approx(0, abs=1e-12)
    assert hungarian_iou(some) == pytest.approx(1)


def test_unbiased_statistics_leave_pairs_with_themselves_out(some):
    biased = generalized_energy_distance(some, some, some)
    unbiased = generalized_energy_distance(some, some, some, unbiased=True)
    # E[GED_V(n)] = GED + E d(S, S') / n
    assert biased - unbiased == pytest.approx(diversity(some, unbiased=True) / 5)
    one = np.zeros((1, 1))
    assert math.isnan(diversity(one, unbiased=True))
    assert math.isnan(generalized_energy_distance(some[:, :1], one, some, unbiased=True))
    assert generalized_energy_distance(some[:, :1], one, some) > 0


def test_matching_is_optimal_transport():
    across = np.random.default_rng(1).random((3, 4))
    even = np.full(3, 1 / 3)
    assert hungarian_iou(across) == pytest.approx(hungarian_iou(across, weights=even), abs=1e-9)
    # all the weight on one rater: every sample goes there
    one = hungarian_iou(across, weights=np.array([0.0, 1.0, 0.0]))
    assert one == pytest.approx(1 - across[1].mean(), abs=1e-9)


def test_weights_count_raters_as_often_as_they_occur(some):
    repeated = some[[0, 0, 0, 1]]
    weights = np.array([0.75, 0.25])
    among = some[np.ix_([0, 0, 0, 1], [0, 0, 0, 1])]
    expected = generalized_energy_distance(repeated, some, among)
    actual = generalized_energy_distance(some[:2], some, some[:2, :2], weights=weights)
    assert actual == pytest.approx(expected)
    assert hungarian_iou(some[:2], weights=weights) == pytest.approx(hungarian_iou(repeated))
