import math

import pytest
import torch

from mmdiffseg.diffusion import ChangeCount, DepthChange, DepthSpread, GenerationSpread, Step


def step(index, logits):
    return Step(index, 0.0, logits, logits, logits)


def one_hot(classes, num_classes=3):
    return 10.0 * torch.nn.functional.one_hot(torch.tensor(classes), num_classes).permute(
        0, 3, 1, 2
    )


def test_change_count_by_hand():
    tracker = ChangeCount(1)
    for index, row in enumerate([[0, 0, 0], [0, 1, 1], [0, 1, 2], [0, 1, 0]]):
        tracker(step(index, one_hot([[row]])))
    torch.testing.assert_close(tracker.map(), torch.tensor([[[[0, 1 / 3, 1.0]]]]))


def test_change_count_over_generations_and_chunks():
    # two images, three generations, the last one in a chunk of its own
    tracker = ChangeCount(2)
    first, second = one_hot([[[0]], [[0]]] * 2), one_hot([[[1]], [[0]], [[0]], [[0]]])
    for chunk in [(first, second), (first[:2], second[:2])]:
        for index, logits in enumerate(chunk):
            tracker(step(index, logits))
    torch.testing.assert_close(tracker.map().flatten(), torch.tensor([2 / 3, 0.0]))


def test_change_count_of_a_single_step_is_zero():
    tracker = ChangeCount(1)
    tracker(step(0, one_hot([[[0, 1]]])))
    assert tracker.map().tolist() == [[[[0.0, 0.0]]]]


@pytest.mark.parametrize(
    'measure, disagreeing, unsure',
    [
        ('entropy', math.log(2) / math.log(3), 1.0),
        ('mutual_information', math.log(2) / math.log(3), 0.0),
        ('variance', 0.5 / (2 / 3), 0.0),
    ],
)
def test_generation_spread_by_hand(measure, disagreeing, unsure):
    tracker = GenerationSpread(1, steps=2, measure=measure)
    # left pixel: two sure generations that disagree; right pixel: both say nothing
    logits = 1e3 * torch.tensor([[[[1.0, 0]], [[0, 0]], [[0, 0]]], [[[0, 0]], [[1, 0]], [[0, 0]]]])
    tracker(step(0, torch.randn_like(logits)))
    for generation in logits.split(1):
        tracker(step(1, generation))
    torch.testing.assert_close(tracker.map(), torch.tensor([[[[disagreeing, unsure]]]]))


def test_agreeing_generations_are_certain():
    for measure in GenerationSpread.measures:
        tracker = GenerationSpread(2, steps=1, measure=measure)
        tracker(step(0, 1e3 * one_hot([[[0, 1]], [[2, 2]]] * 4)))
        assert tracker.map().shape == (2, 1, 1, 2)
        assert tracker.map().abs().max() < 1e-6


def test_unknown_measures_are_refused():
    with pytest.raises(ValueError, match="got 'doubt'"):
        GenerationSpread(1, steps=1, measure='doubt')


def test_depth_change_by_hand():
    # two images, two generations, the second one in a chunk of its own
    tracker = DepthChange(2)
    for chunk in ([[2.0, 8.0], [4.0, 8.0], [1.0, 8.0]], [[5.0, 8.0], [5.0, 4.0], [5.0, 5.0]]):
        for index, depths in enumerate(chunk):
            tracker(step(index, torch.tensor(depths).view(2, 1, 1, 1)))
    expected = torch.tensor([(1 / 2 + 3 / 4) / 4, (1 / 2 + 1 / 5) / 4])
    torch.testing.assert_close(tracker.map().flatten(), expected)
    assert tracker.map().shape == (2, 1, 1, 1)


def test_depth_change_of_a_single_step_is_zero():
    tracker = DepthChange(1)
    tracker(step(0, torch.ones(3, 1, 2, 2)))
    assert not tracker.map().any()


def test_depth_spread_by_hand():
    depths = torch.tensor([[1.0, 50.0], [2.0, 50.0], [6.0, 50.0]]).view(3, 1, 1, 2)
    tracker = DepthSpread(1, steps=2)
    tracker(step(0, torch.rand(3, 1, 1, 2)))
    for generation in depths.split(1):
        tracker(step(1, generation))
    expected = depths.std(dim=0, correction=0) / depths.square().mean(dim=0).sqrt()
    torch.testing.assert_close(tracker.map()[0], expected)
    assert 0 < tracker.map()[..., 0] < 1 and tracker.map()[..., 1] == 0
