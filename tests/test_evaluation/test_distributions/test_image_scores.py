import numpy as np
import pytest

from mmdiffseg.evaluation.distributions import image_scores

# names in the recording; those of one class are of class 1
OF_ALL_CLASSES = dict(ged_unbiased='GED_unbiased', diversity_samples_unbiased='diversity_unbiased')
OF_ONE_CLASS = dict(
    max_dice='max_dice',
    crps_v='area_CRPS',
    crps_fair='area_CRPS_fair',
    area_energy='area_energy',
    soft_dice='soft_Dice',
    ece15='ECE',
    ace_mean15='ACE_mean',
    ace_adaptive15='ACE_adaptive',
    brier='Brier',
)


def test_scores_equal_the_recorded_ones(masks):
    labels, samples = (masks[name].flatten(2).numpy() for name in ('labels', 'samples'))
    for image in range(len(labels)):
        pair = labels[image], samples[image]
        every = image_scores(*pair, classes=range(1, labels.max() + 1))
        one = image_scores(*pair, classes=[1])
        for names, scores in ((OF_ALL_CLASSES, every), (OF_ONE_CLASS, one)):
            for recorded, name in names.items():
                expected = masks['ours'][recorded][image].item()
                assert scores[name] == pytest.approx(expected, abs=1e-12), name


def test_exact_modes_of_a_recorded_scene(shapes):
    maps, samples = (shapes[name].flatten(1).numpy() for name in ('maps', 'samples'))
    weights = shapes['weights'].numpy()
    scores = image_scores(maps, samples, classes=range(1, 7), weights=weights)
    assert scores['GED'] == pytest.approx(shapes['ged_v'], abs=1e-6)
    assert scores['GED_unbiased'] == pytest.approx(shapes['ged_unbiased'], abs=1e-6)
    assert scores['diversity_raters'] == pytest.approx(shapes['mean_d_YY'], abs=1e-6)
    # the same law with a mode written twice
    again = np.concatenate([maps, maps[:1]])
    halves = np.concatenate([[weights[0] / 2], weights[1:], [weights[0] / 2]])
    twice = image_scores(again, samples, classes=range(1, 7), weights=halves)
    for name, score in scores.items():
        assert twice[name] == pytest.approx(score, abs=1e-9), name


def test_independent_pixels_have_the_marginals_but_no_coherence():
    raters = np.repeat([[0], [1]], 400, axis=1)
    weights = np.array([0.7, 0.3])
    rng = np.random.default_rng(0)
    whole = np.repeat((np.arange(100)[:, None] >= 70).astype(int), 400, axis=1)
    noise = (rng.random((100, 400)) < 0.3).astype(int)
    good, bad = (image_scores(raters, s, classes=[1], weights=weights) for s in (whole, noise))
    assert good['coherence'] == good['modes_hit'] == 1
    assert good['TV'] == pytest.approx(0)
    assert bad['TV_marginals'] < 0.05
    assert bad['coherence'] == 0
    assert bad['GED'] > good['GED'] + 0.2
    assert bad['area_energy'] > 0.1 > good['area_energy']


def test_one_rater_has_no_diversity():
    rater, samples = np.array([[0, 1, 1]]), np.array([[0, 1, 0], [0, 1, 1]])
    assert 'diversity_raters' not in image_scores(rater, samples, classes=[1])
    # a law of one map has: it is 0
    sure = image_scores(rater, samples, classes=[1], weights=np.ones(1))
    assert sure['diversity_raters'] == 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(samples=np.zeros((0, 3), int)), '0 samples cannot be scored'),
        (dict(raters=np.zeros((0, 3), int)), '0 raters cannot be scored'),
        (dict(raters=np.zeros((2, 0), int), samples=np.zeros((1, 0), int)), '0 pixels cannot'),
        (dict(classes=[]), '0 classes cannot be scored'),
        (dict(samples=np.zeros((1, 2), int)), r'samples of \(2,\) pixels meet raters of \(3,\)'),
        (dict(weights=np.array([0.3, 0.3])), 'add up to 1, got 2 of sum 0.6'),
        (dict(weights=np.array([1.0])), '2 raters need as many weights .* got 1 of sum 1'),
    ],
)
def test_what_cannot_be_scored_is_refused(changes, message):
    given = dict(raters=np.eye(2, 3, dtype=int), samples=np.ones((1, 3), int), classes=[1])
    with pytest.raises(ValueError, match=message):
        image_scores(**(given | changes))
