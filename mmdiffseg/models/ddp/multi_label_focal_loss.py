"""Focal loss over classes that may overlap."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MultiLabelFocalLoss(nn.Module):
    """Sigmoid focal loss of every class, averaged over its cells, summed over the classes.

    ``gamma=0`` is the cross entropy that DDP's released BEV code has as its other choice.

    Args:
        gamma: How much less a cell costs that is already right: 0 or at least 1.
        alpha: Weight of set cells, in [0, 1], the others having the rest; -1 weighs all alike.
        loss_weight: Factor of the loss.
        loss_name: Name of the loss in logs.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float = -1,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__()
        if gamma != 0 and gamma < 1:  # between them the slope is infinite where a cell is certain
            raise ValueError(f'gamma must be 0 or at least 1, got {gamma}')
        if alpha != -1 and not 0 <= alpha <= 1:
            raise ValueError(f'alpha must lie in [0, 1], or be -1, got {alpha}')
        self.gamma = gamma
        self.alpha = alpha
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compare logits with masks.

        Args:
            logits: Predictions (B, K, h, w).
            masks: Truth of that shape, zeros and ones.

        Returns:
            A scalar, float32.
        """
        logits, masks = logits.float(), masks.float()
        loss = F.binary_cross_entropy_with_logits(logits, masks, reduction='none')
        probs = logits.sigmoid()
        wrong = 1 - (probs * masks + (1 - probs) * (1 - masks))
        loss = loss * wrong**self.gamma
        if self.alpha >= 0:
            loss = loss * (self.alpha * masks + (1 - self.alpha) * (1 - masks))
        return self.loss_weight * loss.mean(dim=(0, 2, 3)).sum()
