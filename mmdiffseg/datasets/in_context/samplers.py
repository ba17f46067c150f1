"""Samplers over episodes and over several data sets."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from mmdiffseg.datasets.in_context.in_context import InContextDataset
from mmdiffseg.datasets.seeded import SeededDataset, SeededInfiniteSampler, mix_seed
from mmdiffseg.registry import DATA_SAMPLERS

CHUNK = 1024


@DATA_SAMPLERS.register_module()
class WeightedInfiniteSampler(SeededInfiniteSampler):
    """Draw from several datasets with replacement, without end.

    As with :class:`SeededInfiniteSampler`, ranks share out one stream of draws, each of which
    carries the seed of its augmentation; a resumed run goes on with the draws that come next.

    Args:
        dataset: A :class:`SeededDataset` of a ``ConcatDataset``.
        weights: A weight for each of its datasets.
        mode: ``'per_sample'``, weights of samples, as LDIS' released code has them: a large dataset
            is drawn more often, its weight times its size. ``'per_dataset'``, the weights are those
            of the datasets.
        seed: The run's seed; None draws one and shares it among the ranks.
    """

    def __init__(
        self,
        *,
        dataset: SeededDataset,
        weights: Sequence[float],
        mode: Literal['per_sample', 'per_dataset'] = 'per_sample',
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset=dataset, seed=seed)
        parts = dataset.dataset
        if not isinstance(parts, ConcatDataset) or len(parts.datasets) != len(weights):
            raise ValueError(
                f'{len(weights)} weights need a ConcatDataset of as many datasets inside the '
                'SeededDataset'
            )
        if mode not in ('per_sample', 'per_dataset'):
            raise ValueError(f"mode={mode!r} must be 'per_sample' or 'per_dataset'")
        self.sizes = torch.tensor([len(part) for part in parts.datasets])
        self.probabilities = torch.tensor(weights, dtype=torch.float64)
        if mode == 'per_sample':
            self.probabilities = self.probabilities * self.sizes
        self.probabilities = self.probabilities / self.probabilities.sum()

    def _infinite_indices(self) -> Iterator[int]:
        for draw, index in enumerate(self._weighted_indices()):
            yield mix_seed(self.seed, draw) * self.size + index

    def _weighted_indices(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        starts = self.sizes.cumsum(0) - self.sizes
        while True:
            part = torch.multinomial(
                self.probabilities, CHUNK, replacement=True, generator=generator
            )
            within = torch.rand(CHUNK, dtype=torch.float64, generator=generator) * self.sizes[part]
            yield from (starts[part] + within.long()).tolist()


@DATA_SAMPLERS.register_module()
class WholeFrameSampler(Sampler):
    """Every episode once, those of one frame by the same process: what VideoClassIoUMetric needs.

    Processes take frames in turn; their numbers of episodes differ.

    Args:
        dataset: Test episodes with ``episodes='first_frame'``.
        seed: Not used; mmengine passes one.
    """

    def __init__(self, *, dataset: InContextDataset, seed: int | None = None) -> None:
        self.rank, world_size = get_dist_info()
        frames = {}
        for index in range(len(dataset)):
            frames.setdefault(dataset.get_data_info(index)['query'], []).append(index)
        self.indices = [
            i for frame in list(frames.values())[self.rank :: world_size] for i in frame
        ]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
