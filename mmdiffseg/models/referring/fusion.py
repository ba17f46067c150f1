"""How well proposals fit a sentence: the score of the attention map, and the weighted sum."""

import torch
from torch import Tensor

from mmdiffseg.registry import TASK_UTILS


def region_contrast(heat: Tensor, masks: Tensor, *, area_aware: bool = False) -> Tensor:
    """Mean of a map inside each mask minus its mean outside: the generative score s^G.

    Args:
        heat: Map (H, W) in [0, 1].
        masks: Regions (N, H, W), bool.
        area_aware: Multiply by sqrt(a (1 - a)), where a is the mask's share of the image. The score
            is then the correlation of map and mask, up to a factor, and small peaks no longer win
            over the object that they lie on. Not in the paper.

    Returns:
        Scores (N,), float32.
    """
    heat = heat.double()
    contrasts = []
    for mask in masks:  # one at a time: a large image in float64 is itself close to a gigabyte
        area = mask.sum().double()
        inside = (heat * mask).sum() / (area + 1e-6)
        outside = (heat * ~mask).sum() / (mask.numel() - area + 1e-6)
        contrast = inside - outside
        if area_aware:
            share = area / mask.numel()
            contrast = contrast * (share * (1 - share)).sqrt()
        contrasts.append(contrast)
    return torch.stack(contrasts).float()


@TASK_UTILS.register_module()
class RefScoreFusion:
    """Weighted sum of three scores; a score of weight 0 is not computed.

    The defaults are those of the released code. The paper has 0.1 s^G + 0.9 (0.7 hard + 0.3 soft),
    with the mean of both text features in both views.

    Args:
        hard: Weight of CLIP's score of the masked crop.
        soft: Weight of CLIP's score of the image under masked attention.
        gen: Weight of the generative score.
        hard_text: Weights of the features of the sentence and of its root word, in the text that
            crops are compared with.
        soft_text: The same two weights for masked attention.
        area_aware: See :func:`region_contrast`.
    """

    def __init__(
        self,
        *,
        hard: float = 0.7,
        soft: float = 0.3,
        gen: float = 0.05,
        hard_text: tuple[float, float] = (1.0, 0.0),
        soft_text: tuple[float, float] = (0.5, 0.5),
        area_aware: bool = False,
    ) -> None:
        self.weights = dict(hard=hard, soft=soft, gen=gen)
        self.text_weights = dict(hard=hard_text, soft=soft_text)
        self.area_aware = area_aware

    def generative(self, heat: Tensor, masks: Tensor) -> Tensor:
        """Scores (N,) of masks (N, H, W) under a map (H, W)."""
        return region_contrast(heat, masks, area_aware=self.area_aware)

    def similarity(self, view: str, features: Tensor, sentence: Tensor, root: Tensor) -> Tensor:
        """Scores (N,) by CLIP in one view.

        Args:
            view: ``'hard'`` or ``'soft'``.
            features: Unit vectors (N, C) of the proposals.
            sentence: Unit vector (C,) of the sentence.
            root: Unit vector (C,) of its root word.
        """
        whole, word = self.text_weights[view]
        return features @ (whole * sentence + word * root)

    def __call__(self, scores: dict[str, Tensor]) -> Tensor:
        """Add up the scores (N,) of the views whose weight is not 0."""
        return torch.stack([self.weights[name] * score for name, score in scores.items()]).sum(0)
