"""Changes of a mask that have nothing to do with its outline."""

import cv2
import numpy as np
import torch
from torch import Tensor

from mmdiffseg.models.refine.crops import outline


def without_islands(samples: Tensor, mask: Tensor) -> Tensor:
    """Undo what changed away from the outline: new islands and holes, and lost ones.

    Args:
        samples: Probability (G, h, w) of an object, by generations.
        mask: The mask (h, w), bool, before.

    Returns:
        The samples, with the mask itself wherever a connected region (8 neighbours) of changed
        pixels holds none whose 3 x 3 neighbourhood the outline of the mask crosses.
    """
    given = mask[None].to(samples)  # (1, h, w)
    edge = outline(mask).cpu().numpy()
    lost = []
    for changed in ((samples >= 0.5) != mask).cpu().numpy():
        _, regions = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
        lost.append(changed & ~np.isin(regions, regions[edge & changed]))
    return torch.where(torch.from_numpy(np.stack(lost)).to(mask.device), given, samples)
