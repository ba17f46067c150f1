"""Candidate masks without a network: by thresholds on a heat map, or from a file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from mmdiffseg.registry import MODELS

FIVE_PERCENT_STEPS = tuple(percent / 100 for percent in range(5, 100, 5))


@MODELS.register_module()
class WeightFreeProposer(nn.Module):
    """The regions where the heat map of a sentence exceeds each of some thresholds (paper).

    Args:
        thresholds: In (0, 1).
    """

    per_sentence = True

    def __init__(self, *, thresholds: Sequence[float] = FIVE_PERCENT_STEPS) -> None:
        super().__init__()
        self.thresholds = thresholds

    def forward(self, heat: Tensor) -> Tensor:
        """Masks (T, H, W), bool, of a map (H, W) in [0, 1]."""
        thresholds = torch.tensor(self.thresholds, dtype=heat.dtype)
        return heat >= thresholds[:, None, None]


@MODELS.register_module()
class PrecomputedProposer(nn.Module):
    """Masks that some other program made of each image.

    Args:
        path: JSON object: file name of an image -> list of its masks as COCO run lengths
            (``size`` and ``counts``), best first.
    """

    per_sentence = False

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self.path = path
        self.masks = json.loads(Path(path).read_text(encoding='utf-8'))

    def forward(self, image: NDArray, name: str) -> Tensor:
        """Masks (N, H, W), bool, of an image (H, W, 3) by its file name.

        Raises:
            ValueError: The file does not know the image, or has masks of another size or empty
                ones.
        """
        if name not in self.masks:
            raise ValueError(f'{self.path} has no masks of {name!r}')
        height, width = image.shape[:2]
        runs = self.masks[name]
        for number, run in enumerate(runs):
            if run['size'] != [height, width]:
                raise ValueError(
                    f'mask {number} of {name!r} in {self.path} is of size {run["size"]}, '
                    f'the image of {[height, width]}'
                )
        masks = np.zeros((len(runs), height, width), dtype=bool)
        for mask, run in zip(masks, runs, strict=True):
            mask[:] = coco_mask.decode(run)
        empty = np.flatnonzero(~masks.any(axis=(1, 2)))
        if len(empty):
            raise ValueError(f'mask {empty[0]} of {name!r} in {self.path} is empty: leave it out')
        return torch.from_numpy(masks)
