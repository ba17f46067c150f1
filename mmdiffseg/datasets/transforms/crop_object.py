"""Crops around one object of a label map, to train a refiner on."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropObject(BaseTransform):
    """Crop image and labels around one connected region of one class, drawn at random.

    The labels become a mask of 0, 1 and the ignored value: of the region alone, or of all pixels of
    its class in the window. Classes are forgotten; 0 is background. The window is square where the
    image lets it be. An image without a region large enough gives way to another one.

    Args:
        size: Height and width in pixels to which windows are resized.
        context: Range of the side of a window in units of the longer side of the region's box.
        sides: Smallest and largest side of a window in pixels of the image; a region that does not
            fit is cropped around one of its pixels.
        alone: Probability that the region alone is the mask.
        min_area: Pixels that a region must have.
        ignore_index: Label of the pixels without a class.
    """

    def __init__(
        self,
        *,
        size: int,
        context: tuple[float, float] = (1.2, 2.5),
        sides: tuple[int, int] = (48, 320),
        alone: float = 0.5,
        min_area: int = 32,
        ignore_index: int = 255,
    ) -> None:
        self.size = size
        self.context = context
        self.sides = sides
        self.alone = alone
        self.min_area = min_area
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict | None:
        """Crop ``img`` and ``gt_seg_map`` (H, W); None if there is nothing to crop around."""
        # follows numpy's global state, which is seeded for every draw of a sample
        rng = np.random.default_rng(np.random.randint(2**31))
        labels = results['gt_seg_map']
        region = self._draw_region(labels, rng)
        if region is None:
            return None
        window = self._draw_window(region, rng)
        mask = region if rng.random() < self.alone else labels == labels[region][0]
        ignored = labels[window] == self.ignore_index
        mask = np.where(ignored, self.ignore_index, mask[window]).astype(np.uint8)
        size = (self.size, self.size)
        results['img'] = cv2.resize(results['img'][window], size, interpolation=cv2.INTER_LINEAR)
        results['gt_seg_map'] = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
        results['img_shape'] = results['ori_shape'] = size
        return results

    def _draw_region(self, labels: NDArray, rng: np.random.Generator) -> NDArray | None:
        classes = np.setdiff1d(np.unique(labels), (0, self.ignore_index))
        for class_id in rng.permutation(classes):
            _, regions, stats, _ = cv2.connectedComponentsWithStats(
                (labels == class_id).astype(np.uint8)
            )
            large = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= self.min_area) + 1
            if len(large):
                return regions == rng.choice(large)
        return None

    def _draw_window(self, region: NDArray, rng: np.random.Generator) -> tuple[slice, slice]:
        left, top, width, height = cv2.boundingRect(region.astype(np.uint8))
        side = max(width, height) * rng.uniform(*self.context)
        side = int(np.clip(side, *self.sides))
        if max(width, height) > side:
            ys, xs = region.nonzero()
            pixel = rng.integers(len(xs))
            left, top, width, height = xs[pixel], ys[pixel], 1, 1

        def span(first: int, length: int, limit: int) -> slice:
            # the box lies inside; the window is pushed back into the image where it leaves it
            start = first - rng.integers(0, side - length + 1)
            start = int(np.clip(start, 0, max(limit - side, 0)))
            return slice(start, min(start + side, limit))

        return span(top, height, region.shape[0]), span(left, width, region.shape[1])

    def __repr__(self) -> str:
        return f'CropObject(size={self.size}, context={self.context}, sides={self.sides})'
