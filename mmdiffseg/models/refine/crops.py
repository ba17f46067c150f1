"""Where a refiner looks: boxes around objects, and patches along their outlines.

A box is (left, top, right, bottom) in pixels, right and bottom exclusive. One around a place is
square, and reaches over the right or lower border of a picture that is smaller.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]


def cut(map_: Tensor, box: Box) -> Tensor:
    """The part of a map (..., H, W) in a box, as a view; it is reflected beyond its border."""
    left, top, right, bottom = box
    h, w = map_.shape[-2:]
    if right > w:
        map_ = map_[..., _reflected(right, w, map_.device)]
    if bottom > h:
        map_ = map_[..., _reflected(bottom, h, map_.device), :]
    return map_[..., top:bottom, left:right]


def _reflected(stop: int, length: int, device: torch.device) -> Tensor:
    """Places (stop,) in a row of pixels that goes on as its mirror image, however far."""
    period = max(2 * (length - 1), 1)
    place = torch.arange(stop, device=device) % period
    return torch.minimum(place, period - place)


def inside(box: Box, size: Sequence[int]) -> Box:
    """The part of a box that lies in a picture of (H, W)."""
    (left, top, right, bottom), (h, w) = box, size
    return left, top, min(right, w), min(bottom, h)


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


def squares(centres: Tensor, side: int, size: Sequence[int]) -> Tensor:
    """Square boxes (N, 4) around pixels (N, 2), x before y, pushed into an image of (H, W)."""
    h, w = size
    largest = centres.new_tensor([max(w - side, 0), max(h - side, 0)])
    corners = torch.minimum((centres - side // 2).clamp(min=0), largest)
    return torch.cat([corners, corners + side], dim=1)


def outline_boxes(mask: Tensor, side: int) -> list[Box]:
    """Square boxes that cover the outline of a mask (H, W), bool, half of each by others.

    One for each cell of a grid of half their side that the outline enters, around the mean of its
    pixels there.
    """
    h, w = mask.shape
    around = mask_box(mask)
    if around is None:
        return []
    left, top, *_ = around = widen(around, 1, (h, w))
    ys, xs = outline(cut(mask, around)).nonzero(as_tuple=True)
    if not len(ys):
        return []
    ys, xs = ys + top, xs + left
    cell = max(side // 2, 1)
    across = -(-w // cell)
    cells, which = ((ys // cell) * across + xs // cell).unique(return_inverse=True)
    sums = torch.stack([torch.ones_like(ys), xs, ys]).double()  # (3, pixels)
    sums = sums.new_zeros(3, len(cells)).index_add_(1, which, sums)
    centres = (sums[1:] / sums[0]).round().long().T
    return list(dict.fromkeys(map(tuple, squares(centres, side, (h, w)).tolist())))


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
    ys, xs = (fine < share * fine.max().item()).nonzero(as_tuple=True)
    if not len(ys):
        return []
    scores = 1 - fine[ys, xs]
    # the corner of a place in pixels of the image, in float32 as in the released code
    centres = torch.stack([xs * (size[1] / w), ys * (size[0] / h)], dim=1).long()
    boxes = squares(centres, side, size)
    return list(map(tuple, boxes[nms(boxes.float(), scores, overlap)].tolist()))


def resize(map_: Tensor, size: Sequence[int], mode: str = 'bilinear') -> Tensor:
    """Resize a map (C, h, w) to (C, *size)."""
    options = {} if mode == 'nearest' else dict(align_corners=False)
    return F.interpolate(map_[None], tuple(size), mode=mode, **options)[0]


def paste(map_: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a soft mask (C, h, w) to (C, *size); where it grows, its border fades into zeros.

    So do SegRefiner and mmdet with the mask of an object.
    """
    grid = F.affine_grid(
        torch.eye(2, 3, device=map_.device)[None], (1, 1, *size), align_corners=False
    )
    return F.grid_sample(map_[None], grid, align_corners=False)[0]
