"""What a model says of an image: class probabilities, and maps of its uncertainty."""

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmdiffseg.diffusion.uncertainty import entropy
from mmdiffseg.guarantee import vote_shares

SUM_TOLERANCE = 1e-3
SMALLEST = 1e-6


def log_probabilities(sample: BaseDataElement) -> Tensor:
    """Logarithms of the class probabilities of an image, whatever its model leaves.

    ``seg_logits`` may hold logits, as mmseg's heads leave them, probabilities, as a head leaves
    them that averages several masks, or the probability of the foreground alone, as mmseg does for
    a head of one channel.

    Args:
        sample: A prediction, (K, H, W) or (1, H, W).

    Returns:
        (K, H, W) float32; probabilities below 1e-6 count as 1e-6.

    Raises:
        ValueError: There are no ``seg_logits``, they are not finite, or they lie in [0, 1] like
            probabilities and do not sum to one.
    """
    name = sample.get('img_path') or 'an image'
    if 'seg_logits' not in sample:
        raise ValueError(
            f'{name}: the model gave no seg_logits, so there are no class probabilities to judge: '
            'this is for models of semantic segmentation'
        )
    maps = sample.seg_logits.data.float()
    if not torch.isfinite(maps).all():
        raise ValueError(f'{name}: the seg_logits of the model are not finite: look at its weights')
    if len(maps) == 1:
        maps = torch.cat([1 - maps, maps])
    if not _lie_in_unit_interval(maps):
        return F.log_softmax(maps, dim=0).clamp_(min=float(torch.tensor(SMALLEST).log()))
    sums = maps.sum(dim=0)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > SUM_TOLERANCE:
        raise ValueError(
            f'{name}: seg_logits lie in [0, 1], so they are probabilities, but those of a pixel '
            f'sum to {worst:.4f} instead of 1: normalise them in the head'
        )
    return maps.clamp(min=SMALLEST).log_()


def _lie_in_unit_interval(maps: Tensor) -> bool:
    low, high = maps.aminmax()
    return bool(low >= 0) and bool(high <= 1 + SUM_TOLERANCE)


def uncertainty_maps(
    log_probs: Tensor, *, model: Tensor | None = None, samples: Tensor | None = None
) -> dict[str, Tensor]:
    """Every map of uncertainty there is for an image.

    Args:
        log_probs: (K, H, W).
        model: The model's own ``uncertainty`` (1, H, W), in [0, 1].
        samples: Label maps (G, H, W) that the model drew.

    Returns:
        Maps (H, W) in [0, 1]: ``entropy`` of the probabilities and ``doubt`` (1 less the largest
        of them), and where there are such: ``model``, and ``votes``, the entropy of the share of
        the samples that each class has.
    """
    probs = log_probs.exp()
    count = len(probs)
    maps = dict(entropy=entropy(probs, dim=0), doubt=1 - probs.amax(dim=0))
    if model is not None:
        maps['model'] = model[0].float()
    if samples is not None:
        shares = torch.from_numpy(vote_shares(samples.cpu().numpy(), count))
        maps['votes'] = entropy(shares.to(probs), dim=0)
    return {name: map_.clamp(0, 1) for name, map_ in maps.items()}
