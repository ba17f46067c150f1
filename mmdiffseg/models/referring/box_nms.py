"""Boxes of masks and their non-maximum suppression, in plain torch.

torchvision's is not there in every installation, and mmcv's is compiled.
"""

import torch
from torch import Tensor


def mask_boxes(masks: Tensor) -> Tensor:
    """First and last pixel (x1, y1, x2, y2) of each of ``masks`` (N, H, W), none empty; (N, 4)."""
    edges = []
    for axis in (1, 2):  # over the rows: columns with something in them; then the other way round
        filled = masks.any(dim=axis).int()  # (N, W) or (N, H)
        edges.append((filled.argmax(1), filled.shape[1] - 1 - filled.flip(1).argmax(1)))
    (x1, x2), (y1, y2) = edges
    return torch.stack([x1, y1, x2, y2], dim=1)


def box_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4), as corners.
        scores: (N,).
        threshold: IoU above which the lower score is dropped.

    Returns:
        Indices of what is kept, by falling score.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order].float()
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])  # (N, N, 2)
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)  # (N, N)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    overlap = (common > threshold * (areas[:, None] + areas[None] - common)).cpu()
    kept = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if kept[i]:
            kept[i + 1 :] &= ~overlap[i, i + 1 :]
    return order[kept.to(order.device)]
