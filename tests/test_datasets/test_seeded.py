from itertools import islice
from unittest.mock import patch

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, InfiniteSampler

from mmdiffseg.datasets import SeededDataset, SeededInfiniteSampler


class Augmented(BaseDataset):
    """Seven samples (index, number drawn by the augmentation)."""

    def load_data_list(self):
        return [{'i': i} for i in range(7)]

    def prepare_data(self, idx):
        return self.get_data_info(idx)['i'], np.random.rand()


@pytest.fixture
def dataset():
    return SeededDataset(dataset=Augmented())


def test_order_is_that_of_the_plain_sampler(dataset):
    seeded = SeededInfiniteSampler(dataset=dataset, seed=5)
    plain = InfiniteSampler(dataset, seed=5)
    assert [index % 7 for index in islice(seeded, 20)] == list(islice(plain, 20))


def test_augmentation_depends_on_the_draw_alone(dataset):
    draws = list(islice(SeededInfiniteSampler(dataset=dataset, seed=5), 20))
    forward = [dataset[index] for index in draws]
    backward = [dataset[index] for index in reversed(draws)]
    assert forward == backward[::-1]
    assert len({number for _, number in forward}) == 20
    assert [i for i, _ in forward] == [index % 7 for index in draws]


def test_ranks_share_out_the_draws(dataset):
    whole = list(islice(SeededInfiniteSampler(dataset=dataset, seed=5), 20))
    parts = []
    for rank in range(2):
        with patch('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, 2)):
            parts.append(list(islice(SeededInfiniteSampler(dataset=dataset, seed=5), 10)))
    assert [index for pair in zip(*parts, strict=True) for index in pair] == whole


@pytest.mark.skipif(not hasattr(InfiniteSampler, 'skip'), reason='mmengine loads what it skips')
def test_skipping_continues_the_stream(dataset):
    whole = list(islice(SeededInfiniteSampler(dataset=dataset, seed=5), 20))
    resumed = SeededInfiniteSampler(dataset=dataset, seed=5)
    resumed.skip(13)
    assert list(islice(resumed, 7)) == whole[13:]


def test_plain_indices_and_iteration_serve_the_plain_dataset(dataset):
    assert len(dataset) == 7
    assert [i for i, _ in dataset] == list(range(7))


def test_a_dataset_that_takes_no_seeds_is_refused():
    with pytest.raises(TypeError, match='mmdiffseg.SeededDataset, got Augmented'):
        SeededInfiniteSampler(dataset=Augmented(), seed=5)
