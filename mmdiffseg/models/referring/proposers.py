"""Candidate masks without a network: by thresholds on a heat map, or from a file."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from mmdiffseg.models.referring.json_file import read_json_object
from mmdiffseg.registry import MODELS

FIVE_PERCENT_STEPS = tuple(percent / 100 for percent in range(5, 100, 5))


@MODELS.register_module()
class WeightFreeProposer(nn.Module):
    """The regions where the heat map of a sentence reaches each of several thresholds (paper).

    Example:
        >>> WeightFreeProposer()(heat).shape  # heat: (H, W) in [0, 1]
        torch.Size([19, H, W])

    Args:
        thresholds: T thresholds in (0, 1).
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
    """Masks that another program made of each image.

    Example:
        >>> proposer = PrecomputedProposer(path='proposals.json')
        >>> proposer(image, 'street.jpg').shape  # image: (H, W, 3)
        torch.Size([N, H, W])

    Args:
        path: JSON object: file name of an image -> list of its masks as COCO run lengths
            (``size`` and ``counts``), best first.

    Raises:
        ValueError: The file is not a JSON object.
    """

    per_sentence = False

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self.path = path
        self.masks = read_json_object(path)

    def forward(self, image: NDArray, name: str) -> Tensor:
        """Masks (N, H, W), bool, of an image (H, W, 3) by its file name.

        Raises:
            ValueError: The file does not list the image, or a mask is empty or of another size
                than the image.
        """
        if name not in self.masks:
            raise ValueError(f'{self.path} has no masks of {name!r}')
        height, width = image.shape[:2]
        runs = self.masks[name]
        for number, run in enumerate(runs):
            if run['size'] != [height, width]:
                raise ValueError(
                    f'mask {number} of {name!r} in {self.path} has the size {run["size"]}, but '
                    f'the image has {[height, width]}'
                )
        masks = np.zeros((len(runs), height, width), dtype=bool)
        for mask, run in zip(masks, runs, strict=True):
            mask[:] = coco_mask.decode(run)
        empty = np.flatnonzero(~masks.any(axis=(1, 2)))
        if len(empty):
            raise ValueError(f'mask {empty[0]} of {name!r} in {self.path} is empty: leave it out')
        return torch.from_numpy(masks)
