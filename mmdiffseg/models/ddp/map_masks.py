"""Ground truth of maps and the losses on it: what the map heads share."""

import torch
from mmseg.utils import SampleList
from torch import Tensor, nn


def stack_masks(samples: SampleList, shape: tuple[int, int, int]) -> Tensor:
    """Stack the masks of a batch.

    Args:
        samples: Samples with ``gt_map`` (K, h, w) of zeros and ones.
        shape: K, h and w that a head predicts.

    Returns:
        Masks (B, K, h, w).

    Raises:
        ValueError: A sample has other shapes or other values.
    """
    masks = [sample.gt_map.data for sample in samples]
    for mask in masks:
        if tuple(mask.shape) != tuple(shape):
            raise ValueError(
                f'masks of {mask.shape[0]} classes with {mask.shape[1]} x {mask.shape[2]} cells '
                f'meet a head for {shape[0]} classes with {shape[1]} x {shape[2]}: set num_classes '
                'and output_scope to those of the masks, or rasterise these again'
            )
    masks = torch.stack(masks)
    known = (masks == 0) | (masks == 1)
    if not known.all():
        raise ValueError(
            f'masks must be binary, 0 or 1, got {masks[~known].unique().tolist()[:5]} in '
            f'{(~known).sum().item()} cells'
        )
    return masks


def map_losses(loss_decode: nn.Module, logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Losses of logits (B, K, h, w) on masks (B, K, h, w), by name.

    Args:
        loss_decode: A loss called with both, or a ``ModuleList`` of such.
        logits: What a head predicts.
        masks: The truth.
    """
    losses = loss_decode if isinstance(loss_decode, nn.ModuleList) else [loss_decode]
    return {loss.loss_name: loss(logits, masks) for loss in losses}
