"""Scale-invariant loss of log depths."""

import torch
from torch import Tensor, nn

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class SigLoss(nn.Module):
    """Scale-invariant loss on log-depth as DDP's released depth code computes it.

    With g = log(pred + 1e-3) - log(target + 1e-3) over the valid pixels of the whole batch, it is
    sqrt(var(g) + 0.15 mean(g)^2), the variance unbiased. mmseg's ``SiLogLoss`` averages over images
    and weighs the mean otherwise.

    Args:
        loss_weight: Factor of the loss.
        valid_mask: Leave out pixels whose true depth is 0.
        max_depth: Also leave out pixels whose true depth is larger, in metres; with ``valid_mask``.
        warm_up: Let the first ``warm_iters`` calls give sqrt(0.15) |mean(g)| only. How many there
            have been is then part of the checkpoint.
        warm_iters: See ``warm_up``.
        loss_name: Name of the loss in logs.
    """

    def __init__(
        self,
        *,
        loss_weight: float = 1.0,
        valid_mask: bool = True,
        max_depth: float | None = None,
        warm_up: bool = False,
        warm_iters: int = 100,
        loss_name: str = 'loss_sig',
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.valid_mask = valid_mask
        self.max_depth = max_depth
        self.warm_up = warm_up
        self.warm_iters = warm_iters
        self.loss_name = loss_name
        if warm_up:
            self.register_buffer('calls', torch.zeros((), dtype=torch.long))

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Compare depths.

        Args:
            pred: Predicted depths (B, 1, H, W) in metres, above -1e-3.
            target: True depths, same shape; 0 where nothing was measured.

        Returns:
            A scalar, float32; nan where fewer than two pixels are valid.
        """
        if self.valid_mask:
            valid = target > 0
            if self.max_depth is not None:
                valid &= target <= self.max_depth
            pred, target = pred[valid], target[valid]
        g = (pred.float() + 1e-3).log() - (target.float() + 1e-3).log()
        if self.warm_up and self.calls < self.warm_iters:
            self.calls += 1
            return self.loss_weight * 0.15**0.5 * g.mean().abs()
        return self.loss_weight * (g.var() + 0.15 * g.mean().square()).sqrt()
