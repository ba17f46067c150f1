"""Plain ways to smooth a mask: what a refiner has to be better than."""

import cv2
import numpy as np
from numpy.typing import NDArray


def median_filtered(mask: NDArray, *, size: int = 5) -> NDArray[np.bool_]:
    """The majority (H, W) in squares of ``size`` pixels."""
    return cv2.medianBlur(mask.astype(np.uint8), size) > 0


def opened_and_closed(mask: NDArray, *, radius: int = 2) -> NDArray[np.bool_]:
    """Opened, then closed with a disk: thin parts and thin gaps go."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk)
    return cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disk) > 0


def guided_filtered(
    mask: NDArray, image: NDArray, *, radius: int = 8, epsilon: float = 1e-3
) -> NDArray[np.bool_]:
    """The mask that follows the edges of its picture, by a guided filter (He et al., 2010).

    Args:
        mask: Mask (H, W).
        image: Picture (H, W, 3), uint8 RGB; its brightness is the guide.
        radius: Of the windows in which mask and picture are related by a line.
        epsilon: Variance of the brightness, in [0, 1] squared, below which windows are flat.

    Returns:
        Mask (H, W): where the filtered mask is at least one half.
    """
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    target = mask.astype(np.float64)

    def mean(map_: NDArray) -> NDArray:
        return cv2.blur(map_, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_target = mean(guide), mean(target)
    covariance = mean(guide * target) - mean_guide * mean_target
    slope = covariance / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_target - slope * mean_guide) >= 0.5
