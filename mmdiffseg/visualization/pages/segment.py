"""Pages about the objects and regions of an image, a picture for each task that was solved."""

import numpy as np
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray

from mmdiffseg.segment_ids import INSTANCE_OFFSET
from mmdiffseg.visualization import panel, segment_overlay

VOID = INSTANCE_OFFSET - 1  # no data set has so many classes


def segment_pages(
    image: NDArray,
    sample: BaseDataElement,
    meta: dict,
    *,
    min_score: float = 0.3,
    columns: int = 3,
) -> list[NDArray]:
    """The panel of an image.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: mmdet's sample with any of ``pred_panoptic_seg``, ``pred_instances`` and
            ``pred_sem_seg``, and maybe with ``gt_instances`` and ``gt_sem_seg``.
        meta: ``classes`` and ``palette`` of the data.
        min_score: Instances below are not drawn.
        columns: Pictures in a row.

    Returns:
        One page, uint8 RGB.
    """
    sample = sample.cpu().numpy()
    size = image.shape[:2]
    segments = {}
    if 'gt_instances' in sample:
        ids = sample.gt_sem_seg.sem_seg[0] if 'gt_sem_seg' in sample else np.full(size, VOID)
        segments['ground truth'] = paint(ids, sample.gt_instances)
    if 'pred_panoptic_seg' in sample:
        ids = sample.pred_panoptic_seg.sem_seg[0]
        # Void is 0 where CocoPanopticMetric, which comes first, has put its own into the sample, as
        # it does on a CPU. No segment is: things are numbered from 1 and have the first classes.
        segments['panoptic'] = np.where(ids == 0, VOID, ids)
    if 'pred_instances' in sample:
        found = sample.pred_instances
        found = found[found.scores >= min_score]
        # the surest on top
        segments['instances'] = paint(np.full(size, VOID), found[np.argsort(found.scores)])
    if 'pred_sem_seg' in sample:
        segments['semantic'] = sample.pred_sem_seg.sem_seg[0]
    overlays = {
        caption: segment_overlay(image, ids, meta['palette']) for caption, ids in segments.items()
    }
    present = {label for ids in segments.values() for label in np.unique(ids % INSTANCE_OFFSET)}
    entries = enumerate(zip(meta['classes'], meta['palette'], strict=True))
    legend = {name: colour for label, (name, colour) in entries if label in present}
    return [panel({'image': image, **overlays}, columns=columns, legend=legend)]


def paint(ids: NDArray, instances: InstanceData) -> NDArray:
    """Put instances on top of panoptic ids (H, W), one over the other.

    Args:
        ids: See :func:`segment_overlay`.
        instances: Their ``masks`` (n, H, W) and ``labels`` (n,).
    """
    ids = ids.astype(np.int64)
    masks = getattr(instances.masks, 'masks', instances.masks)  # of mmdet's BitmapMasks, or plain
    for number, (mask, label) in enumerate(zip(masks, instances.labels, strict=True), start=1):
        ids[mask.astype(bool)] = label + number * INSTANCE_OFFSET
    return ids
