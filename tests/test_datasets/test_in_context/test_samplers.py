from collections import Counter
from itertools import islice
from unittest.mock import patch

import pytest
from mmengine.dataset import BaseDataset

from mmdiffseg.datasets import (
    InContextDataset,
    SeededDataset,
    WeightedInfiniteSampler,
    WholeFrameSampler,
)

RANK = 'mmdiffseg.datasets.in_context.samplers.get_dist_info'


class Numbers(BaseDataset):
    def __init__(self, count):
        self.count = count
        super().__init__()

    def load_data_list(self):
        return [dict(i=i) for i in range(self.count)]

    def prepare_data(self, idx):
        return idx


@pytest.fixture
def dataset():
    parts = [Numbers(3), Numbers(12)]
    return SeededDataset(dataset=dict(type='ConcatDataset', datasets=parts))


def draws(dataset, count=4000, **options):
    sampler = WeightedInfiniteSampler(dataset=dataset, seed=5, **options)
    return list(islice(sampler, count))


@pytest.mark.parametrize(
    ('mode', 'share'), [('per_sample', 0.4 * 3 / (0.4 * 3 + 0.1 * 12)), ('per_dataset', 0.8)]
)
def test_shares_of_the_datasets(dataset, mode, share):
    counts = Counter(index % 15 for index in draws(dataset, weights=[0.4, 0.1], mode=mode))
    assert set(counts) == set(range(15))
    assert sum(counts[i] for i in range(3)) / 4000 == pytest.approx(share, abs=0.03)
    within = [counts[i] for i in range(3)]
    assert max(within) < 1.2 * min(within)


def test_every_draw_has_a_seed_of_its_own(dataset):
    assert len({index // 15 for index in draws(dataset, 500, weights=[1, 1])}) == 500


def test_ranks_share_out_one_stream(dataset):
    whole = draws(dataset, 3000, weights=[1, 2])
    parts = []
    for rank in range(3):
        with patch('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, 3)):
            parts.append(draws(dataset, 1000, weights=[1, 2]))
    assert [index for group in zip(*parts, strict=True) for index in group] == whole


def test_a_resumed_run_goes_on_with_the_draws_that_come_next(dataset):
    sampler = WeightedInfiniteSampler(dataset=dataset, weights=[1, 2], seed=5)
    if not hasattr(sampler, 'skip'):
        pytest.skip('mmengine loads what it skips')
    sampler.skip(1500)
    assert list(islice(sampler, 700)) == draws(dataset, 2200, weights=[1, 2])[1500:]


def test_weights_that_fit_no_datasets_are_refused(dataset):
    with pytest.raises(ValueError, match='3 weights need a ConcatDataset of as many'):
        draws(dataset, weights=[1, 2, 3])
    with pytest.raises(ValueError, match='per_sample'):
        draws(dataset, weights=[1, 2], mode='per_image')


def test_a_process_takes_whole_frames(video_source, video_class_pipelines):
    data = InContextDataset(
        dataset=video_source('classes'),
        concept='folder_class',
        episodes='first_frame',
        test_mode=True,
        **video_class_pipelines,
    )
    parts = []
    for rank in range(2):
        with patch(RANK, lambda r=rank: (r, 2)):
            parts.append(WholeFrameSampler(dataset=data))
    # frames of bear have two episodes, those of swan one: (0 1) (2 3) (4 5) 6 7
    assert [list(part) for part in parts] == [[0, 1, 4, 5, 7], [2, 3, 6]]
    assert [len(part) for part in parts] == [5, 3]
