"""Where a refiner looks: boxes around objects, and patches along their outlines.

A box is (left, top, right, bottom) in pixels, right and bottom exclusive.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]


def cut(map_: Tensor, box: Box) -> Tensor:
    """The part of a map (..., H, W) in a box, as a view."""
    left, top, right, bottom = box
    return map_[..., top:bottom, left:right]


def mask_box(mask: Tensor) -> Box | None:
    """The smallest box around a mask (H, W), bool; None if it is empty."""
    xs, ys = (mask.any(dim=dim).nonzero().flatten() for dim in (0, 1))
    if not len(xs):
        return None
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def widen(box: Box, margin: int, size: Sequence[int]) -> Box:
    """A box with a margin on all sides, as far as an image of (H, W) reaches."""
    (left, top, right, bottom), (h, w) = box, size
    return (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, w),
        min(bottom + margin, h),
    )


def place(x: int, y: int, side: int, size: Sequence[int]) -> Box:
    """The square box around a pixel, pushed into an image of (H, W); smaller if that is."""
    h, w = size
    left, top = (max(min(at - side // 2, limit - side), 0) for at, limit in ((x, w), (y, h)))
    return left, top, min(left + side, w), min(top + side, h)


def outline_boxes(mask: Tensor, side: int) -> list[Box]:
    """Square boxes that cover the outline of a mask (H, W), bool, half of each by others.

    One for each cell of a grid of half their side that the outline enters, around the mean of its
    pixels there.
    """
    h, w = mask.shape
    ys, xs = outline(mask).nonzero(as_tuple=True)
    if not len(ys):
        return []
    cell = max(side // 2, 1)
    across = -(-w // cell)
    cells, which = ((ys // cell) * across + xs // cell).unique(return_inverse=True)
    sums = torch.stack([torch.ones_like(ys), xs, ys]).double()  # (3, pixels)
    sums = sums.new_zeros(3, len(cells)).index_add_(1, which, sums)
    centres = (sums[1:] / sums[0]).round().long().T.tolist()
    boxes = [place(x, y, side, (h, w)) for x, y in centres]
    return list(dict.fromkeys(boxes))


def outline(mask: Tensor) -> Tensor:
    """Pixels (H, W) of a mask, bool, and beside it that have a neighbour of the other kind."""
    soft = F.pad(mask.float()[None, None], (1, 1, 1, 1), mode='replicate')
    highest, lowest = F.max_pool2d(soft, 3, stride=1), -F.max_pool2d(-soft, 3, stride=1)
    return (highest != lowest)[0, 0]


def doubtful_boxes(
    fine: Tensor, side: int, size: Sequence[int], *, overlap: float = 0.3, share: float = 0.9
) -> list[Box]:
    """Square boxes around the places where a global pass is least sure (SegRefiner's HR mode).

    Args:
        fine: Probability (h, w) of being fine at the end of the pass.
        side: Side of a box in pixels of the image.
        size: Size (H, W) of the image.
        overlap: Boxes of a larger IoU with a more doubtful one are left out.
        share: Places of less than this share of the largest probability are doubtful.
    """
    from torchvision.ops import nms  # takes long to import

    h, w = fine.shape
    ys, xs = (fine < share * fine.max()).nonzero(as_tuple=True)
    scores = 1 - fine[ys, xs]
    # the corner of a place in pixels of the image, as in the released code
    centres = [
        (int(x * (size[1] / w)), int(y * (size[0] / h))) for x, y in zip(xs, ys, strict=True)
    ]
    boxes = [place(x, y, side, size) for x, y in centres]
    if not boxes:
        return []
    kept = nms(torch.tensor(boxes, dtype=torch.float32, device=fine.device), scores, overlap)
    return [boxes[i] for i in kept.tolist()]


def resize(map_: Tensor, size: Sequence[int], mode: str = 'bilinear') -> Tensor:
    """Resize a map (C, h, w) to (C, *size)."""
    options = {} if mode == 'nearest' else dict(align_corners=False)
    return F.interpolate(map_[None], tuple(size), mode=mode, **options)[0]
