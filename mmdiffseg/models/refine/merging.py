"""How refined crops become objects, and objects label maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmdiffseg.models.refine.crops import Box, cut, mask_box


@dataclass(frozen=True, kw_only=True)
class Refined:
    """A refined object.

    Args:
        box: Where it may lie; it has no pixel elsewhere.
        samples: Probability (G, h, w) of the object in the box, by generations.
    """

    box: Box
    samples: Tensor

    @property
    def probability(self) -> Tensor:
        """Mean probability (h, w) of the object in the box."""
        return self.samples.mean(dim=0)


def join(base: Tensor, parts: Sequence[tuple[Box, Tensor]]) -> Refined:
    """Put the parts of one object together; where they overlap, their mean counts.

    Args:
        base: Probability (G or 1, H, W) where no part lies.
        parts: Boxes, and probabilities (G, h, w) in them.
    """
    (first, samples, *_), *others = parts
    lefts, tops, rights, bottoms = zip(*(part[0] for part in parts), strict=True)
    extent = mask_box(base.amax(dim=0) > 0) or first
    box = (
        min(*lefts, extent[0]),
        min(*tops, extent[1]),
        max(*rights, extent[2]),
        max(*bottoms, extent[3]),
    )
    if not others and box == first:
        return Refined(box=box, samples=samples)
    left, top = box[:2]
    shape = (len(samples), box[3] - top, box[2] - left)
    total, count = samples.new_zeros(shape), samples.new_zeros(shape[1:])
    for (x0, y0, x1, y1), values, *_ in parts:
        place = (x0 - left, y0 - top, x1 - left, y1 - top)
        cut(total, place).add_(values)
        cut(count, place).add_(1)
    mean = total / count.clamp(min=1)
    return Refined(box=box, samples=torch.where(count > 0, mean, cut(base, box)))


def whole_probability(mask: Tensor, refined: Refined | None) -> Tensor:
    """Probability (H, W) of an object in its picture; where it is not refined, its mask (H, W)."""
    if refined is None:
        return mask.float()
    probability = refined.samples.new_zeros(mask.shape)
    cut(probability, refined.box).copy_(refined.probability)
    return probability


def merge_labels(
    labels: Tensor,
    ids: Sequence[int],
    objects: Sequence[tuple[Box, Tensor] | None],
    *,
    background: int | None = 0,
) -> Tensor:
    """Draw refined objects into one label map; where several claim a pixel, the likeliest wins.

    A pixel is claimed from a probability of one half on. Where two are equally likely, the one
    wins that had the pixel before.

    Args:
        labels: The labels (H, W) before.
        ids: Labels of the objects, each of which is drawn.
        objects: Their boxes and probabilities (h, w) in them; None where the object stays as it is.
        background: Label of the pixels of these objects that none claims any more; None leaves
            them as they were.

    Returns:
        Labels (H, W), as before where no object was or is.
    """
    merged = labels.clone()
    if background is not None:
        merged[torch.isin(labels, labels.new_tensor(ids))] = background
    # the largest number below one half, which has to be reached
    highest = torch.full(labels.shape, 0.5, device=labels.device)
    highest = highest.nextafter(torch.zeros_like(highest))
    untouched = [label for label, found in zip(ids, objects, strict=True) if found is None]
    own = torch.isin(labels, labels.new_tensor(untouched))
    merged = torch.where(own, labels, merged)
    highest[own] = 1
    for label, found in zip(ids, objects, strict=True):
        if found is None:
            continue
        box, probability = found
        before, so_far = cut(labels, box) == label, cut(highest, box)
        claimed = (probability > so_far) | ((probability == so_far) & before)
        cut(merged, box)[claimed] = label
        cut(highest, box)[claimed] = probability[claimed].to(highest)
    return merged
