"""Drop proposals before they are scored."""

import torch
from torch import Tensor

from mmdiffseg.registry import TASK_UTILS


@TASK_UTILS.register_module()
class AreaProposalFilter:
    """Keeps the largest proposals, except those that are too small.

    Args:
        topk: Number of proposals to keep at most.
        min_pixels: Area in pixels that a proposal must exceed.
        min_ratio: Share of the image that a proposal must exceed.
        strict: Answer with a dropped proposal only if all are dropped. By default a dropped
            proposal has the score 0 and wins where all other scores are negative, as in the
            released code.
    """

    def __init__(
        self,
        *,
        topk: int = 10,
        min_pixels: int = 0,
        min_ratio: float = 0.0,
        strict: bool = False,
    ) -> None:
        self.topk = topk
        self.min_pixels = min_pixels
        self.min_ratio = min_ratio
        self.dropped_score = float('-inf') if strict else 0.0

    def __call__(self, masks: Tensor) -> Tensor:
        """Decide which of the masks (N, H, W), bool, to keep; returns (N,), bool."""
        areas = masks.flatten(1).sum(dim=1)  # (N,)
        keep = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
        keep[areas.argsort(descending=True, stable=True)[: self.topk]] = True
        return keep & (areas > masks[0].numel() * self.min_ratio) & (areas > self.min_pixels)
