import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ambiguous_shapes import STAR, draws, law, loosen, tighten
from mmengine.registry import init_default_scope

from mmdiffseg.datasets import MultiRaterDataset, ShapesDataset

TOOL = 'dataset_converters/ambiguous_shapes.py'
RECORDED = torch.load(Path(__file__).parents[1] / 'data/distributions.pt')['shapes']


def test_the_law_equals_the_recorded_one():
    modes = law(RECORDED['instances'].numpy(), RECORDED['kinds'])
    ours = {m.tobytes(): w for m, w in zip(modes.maps, modes.weights, strict=True)}
    theirs = {
        m.numpy().tobytes(): w
        for m, w in zip(RECORDED['maps'], RECORDED['weights'].tolist(), strict=True)
    }
    assert ours == pytest.approx(theirs)
    assert (np.diff(modes.weights) <= 0).all()


@pytest.fixture
def scene():
    """A ring (1), an ellipse (2) and two stars (3, 4), each a block of 4x4."""
    instances = np.zeros((24, 24), np.uint8)
    for k in range(4):
        instances[2:6, 6 * k + 1 : 6 * k + 5] = k + 1
    return instances, [6, 2, STAR, STAR]


def test_habits(scene):
    for draw in draws(*scene):
        present = [int((draw.labels[:, 6 * k : 6 * k + 6] > 0).sum()) for k in range(4)]
        ring, ellipse, *stars = present
        size = dict(strict=4, generous=32).get(draw.habit, 16)  # 2x2, 4x4 and its border, 4x4
        assert ellipse == size
        assert ring == (0 if draw.habit == 'strict' else size)
        assert stars == [size * kept for kept in draw.stars]
        assert (1 in draw.labels) == (draw.habit == 'namer')
        assert (2 in draw.labels) == (draw.habit != 'namer')


def test_facts_about_every_picture(scene):
    modes = law(*scene)
    assert len(modes.maps) == 1 + 4 + 1 + 4
    assert modes.weights.sum() == pytest.approx(1)
    gone = sum(w for m, w in zip(modes.maps, modes.weights, strict=True) if not (m == 6).any())
    assert gone == pytest.approx(0.25)


def test_outlines_look_at_the_state_before_a_round():
    labels = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 3, 3, 0, 5]], np.uint8)
    assert loosen(labels).tolist() == [[0, 0, 3, 3, 0, 5], [0, 3, 3, 3, 3, 5]]
    # pixels at the edge of the picture have no background beyond it
    assert tighten(np.full((3, 3), 2)).tolist() == np.full((3, 3), 2).tolist()
    assert tighten(labels).tolist() == [[0] * 6, [0] * 6]


def test_simulated_raters_have_the_frequencies_of_the_law():
    """20,000 raters that decide shape by shape, against the enumeration."""
    instances, kinds = RECORDED['instances'].numpy(), RECORDED['kinds']
    modes = law(instances, kinds)
    rng = np.random.default_rng(0)
    counts = {m.tobytes(): 0 for m in modes.maps}
    cache = {}
    for _ in range(20_000):
        habit = rng.choice(['careful', 'strict', 'generous', 'namer'], p=[0.4, 0.25, 0.25, 0.1])
        unsure = habit in ('strict', 'namer')
        stars = tuple(bool(rng.random() < 0.5) if unsure else True for k in kinds if k == STAR)
        if (habit, stars) not in cache:
            labels, left = np.zeros_like(instances), list(stars)
            for number, kind in enumerate(kinds, start=1):
                keep = left.pop(0) if kind == STAR else not (kind == 6 and habit == 'strict')
                name = 1 if kind == 2 and habit == 'namer' else kind
                labels[instances == number] = name if keep else 0
            change = dict(strict=tighten, generous=loosen).get(habit, lambda same: same)
            cache[habit, stars] = change(labels).tobytes()
        counts[cache[habit, stars]] += 1
    for labels, weight in zip(modes.maps, modes.weights, strict=True):
        error = 4 * (weight * (1 - weight) / 20_000) ** 0.5
        assert counts[labels.tobytes()] / 20_000 == pytest.approx(weight, abs=error)


@pytest.fixture(scope='module')
def root(run_tool, tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'ambiguous'
    run_tool(TOOL, '--out', out, '--train', 3, '--val', 2)
    return out


def test_files_are_a_multi_rater_data_set(root):
    init_default_scope('mmseg')
    for split, raters, options in (
        ('val', 'mode*/val', dict(weights_file='weights_val.json')),
        ('train', 'rater*/train', {}),
    ):
        dataset = MultiRaterDataset(
            data_root=str(root),
            raters=raters,
            data_prefix=dict(img_path=f'images/{split}'),
            metainfo=ShapesDataset.METAINFO,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='mmdiffseg.LoadRaters'),
                dict(type='mmdiffseg.PackRaterInputs'),
            ],
            **options,
        )
        assert len(dataset) == dict(train=3, val=2)[split]
        sample = dataset[0]['data_samples']
        assert sample.gt_raters.data.shape[1:] == (64, 64)
        if split == 'train':
            assert sample.raters == ['rater1', 'rater2', 'rater3', 'rater4']
        else:
            assert sum(sample.rater_weights) == pytest.approx(1)
            assert len({m.numpy().tobytes() for m in sample.gt_raters.data}) == len(sample.raters)


def test_habits_add_up_to_the_weights(root):
    weights = json.loads((root / 'weights_val.json').read_text())
    habits = json.loads((root / 'habits_val.json').read_text())
    for name, modes in weights.items():
        for mode, weight in modes.items():
            assert sum(draw[2] for draw in habits[name][mode]) == pytest.approx(weight)


def test_four_drawn_raters_are_modes(root):
    maps = [cv2.imread(str(p), -1).tobytes() for p in root.glob('mode*/train/000000.png')]
    for number in range(1, 5):
        assert cv2.imread(str(root / f'rater{number}/train/000000.png'), -1).tobytes() in maps


def test_pictures_are_those_of_shapes(root, make_shapes, tmp_path):
    make_shapes(tmp_path / 'shapes', '--train', 1, '--val', 1, '--size', 64, 64)
    for split in ('train', 'val'):
        name = f'images/{split}/000000.jpg'
        assert (root / name).read_bytes() == (tmp_path / 'shapes' / name).read_bytes()
