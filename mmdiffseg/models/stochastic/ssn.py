"""Stochastic segmentation networks (Monteiro et al., 2020): a low-rank Gaussian over logits."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.stochastic.direct import DirectHead
from mmdiffseg.models.stochastic.head import StochasticHead
from mmdiffseg.registry import MODELS

EPSILON = 1e-5


class LowRankNormal(NamedTuple):
    """Normal logits with the covariance P P^T + D, where P has R columns.

    Attributes:
        mean: (B, K, h, w).
        factor: P (B, R, K, h, w).
        variance: The diagonal of D (B, K, h, w).
    """

    mean: Tensor
    factor: Tensor
    variance: Tensor

    @classmethod
    def of_maps(cls, mean: Tensor, log_variance: Tensor, factor: Tensor) -> 'LowRankNormal':
        """Make it of maps of K, K and R K channels; the rank is the outer index of the third."""
        # the released code adds its epsilon twice
        variance = log_variance.exp() + 2 * EPSILON
        return cls(mean, factor.unflatten(1, (-1, mean.shape[1])), variance)

    def deviations(self, factor_noise: Tensor, diagonal_noise: Tensor) -> Tensor:
        """Deviations (B, M, K, h, w) of M draws from the mean.

        Args:
            factor_noise: Standard normal (B, M, R).
            diagonal_noise: Standard normal (B, M, K, h, w).
        """
        common = torch.einsum('bmr,brkhw->bmkhw', factor_noise, self.factor)
        return common + self.variance.sqrt()[:, None] * diagonal_noise


def ssn_loss(logits: Tensor, labels: Tensor, *, ignore_index: int) -> Tensor:
    """Negative log of the likelihood of a label map, averaged over draws of its logits.

    Args:
        logits: M draws (B, M, K, h, w), float32 at least.
        labels: (B, h, w).
        ignore_index: Label of the pixels that do not count.

    Returns:
        Scalar: -log 1/M sum_m exp(sum over pixels of log softmax(eta_m)[label]), mean over images.
    """
    counts = (labels != ignore_index)[:, None]
    known = labels.masked_fill(labels == ignore_index, 0).long()
    indices = known[:, None, None].expand(-1, logits.shape[1], 1, -1, -1)
    log_probs = logits.log_softmax(dim=2).gather(2, indices)[:, :, 0]  # (B, M, h, w)
    log_likelihood = (log_probs * counts).flatten(2).sum(dim=2)  # (B, M)
    return -(log_likelihood.logsumexp(dim=1) - math.log(logits.shape[1])).mean()


@MODELS.register_module()
class SSNHead(DirectHead):
    """Head of stochastic segmentation networks (arXiv 2006.06015).

    The network says the mean, the diagonal and a factor of rank R of the covariance of all logits
    of an image. A sample is the likeliest class of every pixel under logits drawn from it. The
    authors' three 1x1 convolutions are one output layer here.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes, at least 2.
        denoiser: Config of the network; the channel numbers are filled in.
        rank: Rank R of the factor; 0 leaves the diagonal alone, the authors' ablation.
        train_draws: Draws M of the training loss, an even number: M / 2 and their mirror images
            about the mean.
        generations: Samples per image at test time.
        max_batch: Most maps at once; None sets no bound.
        seed: Seed of the samples.
        loss_reduction: ``'sum'`` over the pixels, as released, or ``'mean'``, which divides that by
            their number.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.

    Raises:
        ValueError: ``train_draws`` is odd, or another option is unknown.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        denoiser: dict = dict(type='mmdiffseg.CCDMUNet'),
        rank: int = 10,
        train_draws: int = 20,
        generations: int = 16,
        max_batch: int | None = None,
        seed: int = 0,
        loss_reduction: str = 'sum',
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if train_draws < 2 or train_draws % 2:
            raise ValueError(f'train_draws must be an even number above 0, got {train_draws}')
        if rank < 0:
            raise ValueError(f'rank must be at least 0, got {rank}')
        if loss_reduction not in ('sum', 'mean'):
            raise ValueError(f"loss_reduction must be 'sum' or 'mean', got {loss_reduction!r}")
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            out_channels=(2 + rank) * num_classes,
            denoiser=denoiser,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
            loss_decode=None,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        # The loss depends on the factor through P P^T alone: it could not leave zero but by chance.
        self.denoiser.out[2].reset_parameters()
        self.rank = rank
        self.train_draws = train_draws
        self.loss_reduction = loss_reduction

    def prepare(self, feature: Tensor | list[Tensor], metas: Sequence[dict]) -> LowRankNormal:
        """The distribution of the logits of the B images."""
        maps = self.run(StochasticHead.prepare(self, feature, metas), len(metas))
        k = self.num_classes
        return LowRankNormal.of_maps(*maps.split([k, k, self.rank * k], dim=1))

    def draw(self, context: LowRankNormal, rows: int, draws: Draws) -> Tensor:
        """The softmax of drawn logits; see :meth:`DirectHead.draw`."""
        b, *shape = context.mean.shape
        device = context.mean.device
        noises = [
            draws.normal(name, (rows, *size), device=device).unflatten(0, (-1, b)).transpose(0, 1)
            for name, size in (('factor', (self.rank,)), ('diagonal', shape))
        ]  # (G B, ...) -> (B, G, ...)
        logits = context.mean[:, None] + context.deviations(*noises)
        return logits.softmax(dim=2).transpose(0, 1).flatten(0, 1)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Negative log-likelihood by Monte Carlo.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: Normal ``factor`` (B, M / 2, R) and ``diagonal`` (B, M / 2, K, H, W).

        Returns:
            ``loss_nll``.

        Raises:
            ValueError: See :meth:`labels`.
        """
        draws = draws or Draws()
        feature = self._transform_inputs(inputs)
        labels = self.labels(batch_data_samples, feature)
        normal = self.prepare(feature, batch_data_samples)
        b, *shape = normal.mean.shape
        half, device = self.train_draws // 2, labels.device
        deviations = normal.deviations(
            draws.normal('factor', (b, half, self.rank), device=device),
            draws.normal('diagonal', (b, half, *shape), device=device),
        )
        logits = normal.mean[:, None] + torch.cat([deviations, -deviations], dim=1)
        loss = ssn_loss(logits, labels, ignore_index=self.ignore_index)
        if self.loss_reduction == 'mean':
            loss = loss / labels[0].numel()
        return dict(loss_nll=loss)
