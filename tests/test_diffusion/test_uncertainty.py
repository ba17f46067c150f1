import math

import pytest
import torch

from mmdiffseg.diffusion import ChangeCount, DepthChange, DepthSpread, PredictionSpread, Step
from mmdiffseg.diffusion.uncertainty import Tracker


def chain(*outputs):
    for index, output in enumerate(outputs):
        yield Step(index=index, now=None, z_t=output, output=output, variance=None, encode=None)


def see(tracker, *chains):
    """Walk to the ends of chains that a tracker watches."""
    for watched in tracker.watch(chains):
        for _ in watched:
            pass
    return tracker.map()


def softmax(output):
    return output.softmax(dim=1)


def spread(images, measure, **options):
    return PredictionSpread(images, measure=measure, probabilities=softmax, **options)


def one_hot(classes, num_classes=3):
    return 10.0 * torch.nn.functional.one_hot(torch.tensor(classes), num_classes).permute(
        0, 3, 1, 2
    )


def test_a_tracker_sees_each_step_of_each_chain_before_the_one_who_walks():
    class Names(Tracker):
        def add(self, step):
            seen.append(('tracker', step.output.item(), step.index))

    seen = []
    chains = (chain(*torch.arange(4.0 * i, 4.0 * i + 2)) for i in range(2))
    for watched in Names(1).watch(chains):
        for step in watched:
            seen.append(('walker', step.output.item(), step.index))
    order = [(0.0, 0), (1.0, 1), (4.0, 0), (5.0, 1)]
    assert seen == [(who, *step) for step in order for who in ('tracker', 'walker')]


def test_a_watched_chain_goes_no_further_than_the_one_who_walks():
    made = []

    def endless():
        for step in chain(*torch.zeros(100, 1, 1, 1, 2)):
            made.append(step)
            yield step

    tracker = ChangeCount(1)
    for watched in tracker.watch([endless(), endless()]):
        for step in watched:
            if step.index == 2:
                break
    assert len(made) == 6 and tracker.transitions == 4


def test_several_trackers_watch_the_same_chains():
    changes, doubt = ChangeCount(1), spread(1, 'entropy')
    outputs = torch.randn(4, 2, 3, 1, 1)
    for watched in doubt.watch(changes.watch([chain(*outputs)])):
        list(watched)
    assert torch.equal(changes.map(), see(ChangeCount(1), chain(*outputs)))
    assert torch.equal(doubt.map(), see(spread(1, 'entropy'), chain(*outputs)))


def test_change_count_by_hand():
    rows = [[0, 0, 0], [0, 1, 1], [0, 1, 2], [0, 1, 0]]
    found = see(ChangeCount(1), chain(*(one_hot([[row]]) for row in rows)))
    torch.testing.assert_close(found, torch.tensor([[[[0, 1 / 3, 1.0]]]]))


def test_change_count_over_generations_and_chunks():
    # two images, three generations, the last one in a chunk of its own
    first, second = one_hot([[[0]], [[0]]] * 2), one_hot([[[1]], [[0]], [[0]], [[0]]])
    found = see(ChangeCount(2), chain(first, second), chain(first[:2], second[:2]))
    torch.testing.assert_close(found.flatten(), torch.tensor([2 / 3, 0.0]))


def test_change_count_of_a_single_step_is_zero():
    found = see(ChangeCount(1), chain(one_hot([[[0, 1]]])))
    assert found.tolist() == [[[[0.0, 0.0]]]]


# left pixel: two sure generations that disagree; right pixel: both say nothing
TWO_SAYINGS = 1e3 * torch.tensor([[[[1.0, 0]], [[0, 0]], [[0, 0]]], [[[0, 0]], [[1, 0]], [[0, 0]]]])
MEASURES = pytest.mark.parametrize(
    'measure, disagreeing, unsure',
    [
        ('entropy', math.log(2) / math.log(3), 1.0),
        ('mutual_information', math.log(2) / math.log(3), 0.0),
        ('variance', 0.5 / (2 / 3), 0.0),
    ],
)


@MEASURES
def test_the_spread_of_generations_by_hand(measure, disagreeing, unsure):
    # the steps before the last one do not count
    chains = [chain(torch.randn(1, 3, 1, 2), generation) for generation in TWO_SAYINGS.split(1)]
    found = see(spread(1, measure), *chains)
    torch.testing.assert_close(found, torch.tensor([[[[disagreeing, unsure]]]]))
    together = see(spread(1, measure), chain(torch.randn(2, 3, 1, 2), TWO_SAYINGS))
    torch.testing.assert_close(together, found)


@MEASURES
def test_the_spread_of_the_steps_by_hand(measure, disagreeing, unsure):
    # where the prediction is averaged over the steps, they are its parts
    found = see(spread(1, measure, every_step=True), chain(*TWO_SAYINGS.split(1)))
    torch.testing.assert_close(found, torch.tensor([[[[disagreeing, unsure]]]]))


def test_a_chain_that_is_left_early_ends_in_the_step_seen_last():
    tracker = spread(1, 'entropy')
    sure, unsure = 1e3 * one_hot([[[0]]]), torch.zeros(1, 3, 1, 1)
    for watched in tracker.watch([chain(sure, unsure), chain(sure, unsure)]):
        next(watched)
    assert tracker.map().item() == 0


def test_the_map_may_be_read_again():
    tracker = spread(1, 'entropy')
    first = see(tracker, chain(*torch.randn(3, 2, 3, 1, 1)))
    assert torch.equal(tracker.map(), first)


def test_the_probabilities_are_those_of_the_head():
    tracker = PredictionSpread(1, measure='entropy', probabilities=lambda output: output)
    found = see(tracker, chain(torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)))
    nats = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.item() == pytest.approx(nats / math.log(2))


def test_agreeing_generations_are_certain():
    for measure in PredictionSpread.measures:
        found = see(spread(2, measure), chain(1e3 * one_hot([[[0, 1]], [[2, 2]]] * 4)))
        assert found.shape == (2, 1, 1, 2)
        assert found.abs().max() < 1e-6


def test_unknown_measures_are_refused():
    with pytest.raises(ValueError, match="got 'doubt'"):
        spread(1, 'doubt')


def test_depth_change_by_hand():
    # two images, two generations, the second one in a chunk of its own
    depths = torch.tensor(
        [[[2.0, 8.0], [4.0, 8.0], [1.0, 8.0]], [[5.0, 8.0], [5.0, 4.0], [5.0, 5.0]]]
    )
    found = see(DepthChange(2), *(chain(*chunk.view(3, 2, 1, 1, 1)) for chunk in depths))
    expected = torch.tensor([(1 / 2 + 3 / 4) / 4, (1 / 2 + 1 / 5) / 4])
    torch.testing.assert_close(found.flatten(), expected)
    assert found.shape == (2, 1, 1, 1)


def test_depth_change_of_a_single_step_is_zero():
    assert not see(DepthChange(1), chain(torch.ones(3, 1, 2, 2))).any()


def test_depth_spread_by_hand():
    depths = torch.tensor([[1.0, 50.0], [2.0, 50.0], [6.0, 50.0]]).view(3, 1, 1, 2)
    chains = [chain(torch.rand(1, 1, 1, 2), generation) for generation in depths.split(1)]
    found = see(DepthSpread(1), *chains)
    expected = depths.std(dim=0, correction=0) / depths.square().mean(dim=0).sqrt()
    torch.testing.assert_close(found[0], expected)
    assert 0 < found[..., 0] < 1 and found[..., 1] == 0
