"""Pages about the depth of an image."""

from collections.abc import Sequence

import numpy as np
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.visualization import (
    depth_colours,
    depth_picture,
    heat_overlay,
    panel,
    relative_error,
)


def depth_pages(
    image: NDArray,
    sample: SegDataSample,
    predictions: dict[str, PixelData],
    film: Sequence[SegDataSample],
    *,
    columns: int = 4,
) -> list[NDArray]:
    """The panel of an image, and a page for each step of its film.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: Its ``pred_depth_map``, whose errors are shown if it has ``gt_depth_map``, and maybe
            its ``uncertainty``.
        predictions: Depths to show under each caption.
        film: Samples with the ``pred_depth_map`` of each step.
        columns: Pictures in a row.

    Returns:
        The pages, uint8 RGB.
    """
    pred = _array(sample.pred_depth_map)
    depths = {caption: _array(map_) for caption, map_ in predictions.items()}
    scale = pred  # what the colours tell apart: not the depths that chains pass through
    if 'gt_depth_map' in sample:
        gt = _array(sample.gt_depth_map)
        depths = {'ground truth': gt, **depths}
        scale = np.stack([pred, gt])
    limits = (float(scale[scale > 0].min()), float(scale.max()))
    pictures = {'image': image}
    for caption, depth in depths.items():
        pictures[caption] = depth_picture(depth, limits)
    if 'uncertainty' in sample:
        heat = _array(sample.uncertainty)
        # a few percent of the depth, which on a scale to 1 nobody would see
        top = float(heat.max())
        pictures[f'uncertainty to {top:.2g}'] = heat_overlay(image, heat / max(top, 1e-6))
    if 'gt_depth_map' in sample:
        heat = relative_error(pred, gt) / 0.5
        pictures['relative error to 0.5'] = heat_overlay(image, heat)
    legend = depth_colours(limits)
    pages = [panel(pictures, columns=columns, legend=legend)]
    for step, frame in enumerate(film, start=1):
        picture = depth_picture(_array(frame.pred_depth_map), limits)
        caption = f'step {step} of {len(film)}'
        pages.append(panel({'image': image, caption: picture}, legend=legend))
    return pages


def _array(map_: PixelData) -> NDArray:
    return map_.data[0].float().cpu().numpy()  # (1, H, W) -> (H, W)
