"""Augmentation that depends only on the seed and the number of the draw.

mmengine seeds each worker once and, when a run is resumed, fast-forwards only the sampler: a
resumed run would augment differently from the run that it continues. Here the sampler sends a seed
with every index, and the dataset augments from that seed.
"""

import random
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler, RepeatDataset

from mmdiffseg.registry import DATA_SAMPLERS, DATASETS


def mix_seed(*key: int) -> int:
    """Derive a 32-bit seed, never 0, from non-negative integers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0]) or 1


def set_seed(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators.

    Args:
        seed: In [0, 2^32).
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@DATASETS.register_module()
class SeededDataset(RepeatDataset):
    """A dataset whose index may carry the seed of the augmentation.

    Index ``seed * len(self) + i`` is sample ``i`` augmented from ``seed``; a plain index augments
    from whatever state the process is in.

    Args:
        dataset: The dataset, or its config.
        lazy_init: Leave reading the annotations to the first access.
    """

    def __init__(self, *, dataset: dict, lazy_init: bool = False) -> None:
        super().__init__(dataset, times=1, lazy_init=lazy_init)

    def __getitem__(self, index: int) -> dict:
        seed, index = divmod(index, len(self))
        if seed:
            set_seed(seed)
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[dict]:
        # by default Python iterates until an index raises IndexError, and none does here
        return (self[index] for index in range(len(self)))


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """mmengine's ``InfiniteSampler`` for a :class:`SeededDataset`.

    The order of the samples is the same; each comes with a seed made of (run's seed, number of the
    draw). The draws of all ranks are numbered together: ranks augment differently, and a resumed
    run goes on with exactly the draws that the interrupted one would have made next.

    Args:
        dataset: The dataset to draw from.
        shuffle: Whether to shuffle anew in every round.
        seed: The run's seed; None draws one and shares it among the ranks.
    """

    def __init__(
        self, *, dataset: SeededDataset, shuffle: bool = True, seed: int | None = None
    ) -> None:
        if not isinstance(dataset, SeededDataset):
            raise TypeError(
                f'SeededInfiniteSampler draws from a mmdiffseg.SeededDataset, got '
                f'{type(dataset).__name__}: write train_dataloader.dataset = '
                f"dict(type='mmdiffseg.SeededDataset', dataset=...)"
            )
        super().__init__(dataset, shuffle=shuffle, seed=seed)

    def _infinite_indices(self) -> Iterator[int]:
        for draw, index in enumerate(super()._infinite_indices()):
            yield mix_seed(self.seed, draw) * self.size + index
