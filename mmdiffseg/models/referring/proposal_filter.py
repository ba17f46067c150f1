"""Which proposals may be the answer at all."""

import torch
from torch import Tensor

from mmdiffseg.registry import TASK_UTILS


@TASK_UTILS.register_module()
class AreaProposalFilter:
    """Keeps the largest proposals, and of these none that is too small.

    Args:
        topk: How many to keep at most.
        min_pixels: Area in pixels that must be exceeded.
        min_ratio: Share of the image that must be exceeded.
        strict: Never answer with a dropped proposal, unless all are dropped. By default it keeps
            the score 0 and wins where every other score is negative, as in the released code.
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
        """Decide for each of ``masks`` (N, H, W), bool; returns (N,), bool."""
        areas = masks.flatten(1).sum(dim=1)  # (N,)
        keep = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
        keep[areas.argsort(descending=True, stable=True)[: self.topk]] = True
        return keep & (areas > masks[0].numel() * self.min_ratio) & (areas > self.min_pixels)
