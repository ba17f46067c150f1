"""Randomness in training that does not depend on what ran before."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdiffseg.datasets.seeded import mix_seed, set_seed
from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class SeedEachIterationHook(Hook):
    """Seeds each training iteration from (run's seed, rank, iteration).

    Diffusion times, noise, dropout and stochastic depth then differ between ranks and iterations,
    and a resumed run draws exactly what the uninterrupted one would have drawn. Augmentation is
    drawn before the iteration begins, maybe in a worker: see
    :class:`mmdiffseg.datasets.SeededDataset` for that half.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Seed Python, numpy and torch (all devices) for the iteration about to run."""
        set_seed(mix_seed(runner.seed, get_rank(), runner.iter))
