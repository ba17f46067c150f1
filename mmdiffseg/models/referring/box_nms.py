"""Non-maximum suppression of boxes, in plain torch.

torchvision's operator is missing where torchvision was built for another torch, see
compat/torchvision_ops.py, and mmcv's is compiled.
"""

import torch
from torch import Tensor


def box_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4), as corners (x1, y1, x2, y2).
        scores: (N,).
        threshold: IoU above which the box with the lower score is dropped.

    Returns:
        Indices of the kept boxes, by falling score.
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
