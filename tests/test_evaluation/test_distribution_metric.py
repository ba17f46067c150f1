import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.evaluation.distributions import image_scores
from mmdiffseg.registry import METRICS

RECORDED = torch.load(Path(__file__).parents[1] / 'data/distributions.pt')['masks']['K4_3raters']
CLASSES = ('background', 'a', 'b', 'c')


def build(**options):
    metric = METRICS.build(dict(type='mmdiffseg.DistributionMetric', **options))
    metric.dataset_meta = dict(classes=CLASSES)
    return metric


def sample(raters, samples, name='a.png', **meta):
    return dict(
        img_path=name,
        gt_raters=dict(data=torch.as_tensor(raters).long()),
        samples=dict(data=torch.as_tensor(samples).long()),
        **meta,
    )


def recorded():
    pairs = zip(RECORDED['labels'], RECORDED['samples'], strict=True)
    return [sample(*pair, name=f'{i}.png') for i, pair in enumerate(pairs)]


def score(metric, *samples):
    for one in samples:  # batches of one
        metric.process({}, [one])
    return metric.evaluate(len(samples))


def test_means_equal_those_of_ccdm():
    counts = RECORDED['num_samples'].tolist()
    scores = score(build(num_samples=counts), *recorded())
    for row, count in enumerate(counts):
        for name, key in (
            ('GED', 'ged'),
            ('HM_IoU', 'hm_iou'),
            ('diversity', 'diversity_samples'),
            ('diversity_raters', 'diversity_raters'),
        ):
            expected = RECORDED[key][row].mean().item()
            assert scores[f'{name}@{count}'] == pytest.approx(expected, abs=1e-12)
    # undefined for one sample
    assert 'GED_unbiased@1' not in scores
    assert 'GED_unbiased@2' in scores


def test_batches_and_processes_do_not_matter():
    samples = recorded()
    together, parts = build(), build()
    together.process({}, samples)
    whole = together.compute_metrics(together.results)
    for rank in (0, 1):  # what mmengine gathers: the shares of two processes, in turns
        part = build()
        for one in samples[rank::2]:
            part.process({}, [one])
        parts.results.append(part.results)
    gathered = [r for i in range(4) for part in parts.results for r in part[i : i + 1]]
    assert parts.compute_metrics(gathered) == whole


def test_pixels_that_any_rater_ignores_do_not_count():
    raters = np.array([[[0, 1, 1, 255]], [[0, 1, 0, 1]]])
    samples = np.array([[[0, 1, 2, 3]], [[0, 1, 1, 0]]])
    scores = score(build(), sample(raters, samples))
    expected = image_scores(raters[:, 0, :3], samples[:, 0, :3], classes=[1, 2, 3])
    assert scores == {f'{name}@2': pytest.approx(value) for name, value in expected.items()}


def test_classes_and_empty_reach_the_distance():
    raters, samples = np.zeros((2, 1, 4)), np.zeros((2, 1, 4))
    samples[:, :, 0], raters[:, :, 1] = 1, 1
    assert score(build(), sample(raters, samples))['GED@2'] == pytest.approx(2 / 3)
    assert score(build(classes=[2]), sample(raters, samples))['GED@2'] == 0
    assert score(build(empty='left_out'), sample(raters, samples))['GED@2'] == 2


def test_weights_of_exact_modes():
    maps = np.array([[[0, 0]], [[1, 1]]])
    scores = score(build(), sample(maps, maps[[0, 0, 0, 1]], rater_weights=[0.75, 0.25]))
    assert scores['TV@4'] == 0
    assert scores['modes_hit@4'] == scores['coherence@4'] == 1
    assert scores['GED@4'] == pytest.approx(0, abs=1e-12)


def test_what_needs_two_raters_says_so(log_lines):
    one = sample(np.zeros((1, 2, 2)), np.zeros((3, 2, 2)))
    two = sample(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)), name='b.png')
    assert 'diversity_raters@3' not in score(build(), one)
    assert score(build(), one, two)['diversity_raters@3'] == 0
    said = (
        'DistributionMetric: 1 of {} images have one rater: diversity_raters needs two, and is {}.'
    )
    about_raters = [line for line in log_lines if 'rater' in line]
    assert about_raters == [said.format(1, 'left out'), said.format(2, 'taken over the others')]


def test_scores_of_every_image_are_written(tmp_path):
    path = tmp_path / 'new/scores.json'
    score(build(output_file=str(path), num_samples=[1, 4]), *recorded())
    written = json.loads(path.read_text())
    assert [one['image'] for one in written] == [f'{i}.png' for i in range(7)]
    assert written[2]['raters'] == 3
    assert written[2]['scores']['GED@4'] == pytest.approx(RECORDED['ged'][2, 2].item())
    with pytest.raises(FileExistsError, match='choose another'):
        build(output_file=str(path))


def test_samples_are_kept(tmp_path):
    folder = tmp_path / 'kept'
    maps = np.array([[[0, 0]], [[1, 1]]])
    one = sample(maps, maps[[0, 1, 1]], name='x/a.png', rater_weights=[0.75, 0.25])
    score(build(samples_dir=str(folder)), one, sample(maps, maps, name='x/b.png'))
    with np.load(folder / 'a.npz') as file:
        assert (file['samples'] == maps[[0, 1, 1]]).all()
        assert (file['raters'] == maps).all()
        assert file['weights'].tolist() == [0.75, 0.25]
    with np.load(folder / 'b.npz') as file:
        assert 'weights' not in file
    with pytest.raises(FileExistsError, match='is not empty'):
        build(samples_dir=str(folder))
    with pytest.raises(ValueError, match='two images would be written to .*a.npz'):
        score(build(samples_dir=str(tmp_path / 'two')), one, sample(maps, maps, name='y/a.png'))


RATERS = np.zeros((2, 4, 6))


@pytest.mark.parametrize(
    ('one', 'options', 'message'),
    [
        (sample(RATERS, np.zeros((0, 4, 6))), {}, 'a.png: the model gave no samples'),
        (dict(img_path='a.png'), {}, 'a.png: no raters: load them by mmdiffseg.LoadRaters'),
        (
            {k: v for k, v in sample(RATERS, RATERS).items() if k != 'samples'},
            {},
            'a.png: the model gave no samples',
        ),
        (sample(RATERS, np.zeros((2, 8, 6))), {}, 'a.png: samples are 6x8 and raters 6x4'),
        (sample(RATERS, RATERS), dict(num_samples=[1, 4]), r'asks for more than the 2 samples'),
        (sample(RATERS, RATERS + 4), {}, 'a.png: a sample holds class 4 and .* has 4 classes'),
        (sample(RATERS + 255, RATERS), {}, 'all pixels of all 1 images are ignored'),
    ],
)
def test_bad_input_is_refused(one, options, message):
    with pytest.raises(ValueError, match=message):
        score(build(**options), one)


def test_a_wrong_number_of_samples_is_refused():
    with pytest.raises(ValueError, match=r'num_samples=\[0\]: give numbers of samples'):
        build(num_samples=[0])
