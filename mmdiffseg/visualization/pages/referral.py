"""Pages about what sentences mean in an image."""

import textwrap

import numpy as np
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.visualization import error_map, heat_overlay, label_overlay, panel

CAPTION_LENGTH = 34


def referral_pages(
    image: NDArray, sample: SegDataSample, meta: dict, *, columns: int = 4
) -> list[NDArray]:
    """The panel of an image and the sentences about it.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: Its ``text`` or ``texts``, ``pred_instances.masks`` (n, H, W), one for each of them,
            and maybe ``attn_map`` (n, H, W) and ``gt_sem_seg`` (1, H, W).
        meta: ``palette`` of the data: background and what is referred to.
        columns: Pictures in a row.

    Returns:
        One page, uint8 RGB.
    """
    palette = meta['palette']
    pictures = {'image': image}
    truth = None
    if 'gt_sem_seg' in sample:
        truth = sample.gt_sem_seg.data[0].cpu().numpy()
        pictures['ground truth'] = label_overlay(image, truth, palette)
    masks = sample.pred_instances.masks.cpu().numpy().astype(np.uint8)
    texts = sample.texts if 'texts' in sample else [sample.text]
    for number, (text, mask) in enumerate(zip(texts, masks, strict=True)):
        caption = textwrap.shorten(text, CAPTION_LENGTH, placeholder='...')
        pictures[caption] = label_overlay(image, mask, palette)
        if 'attn_map' in sample:
            heat = sample.attn_map.data[number].cpu().numpy()
            pictures[f'attention {number + 1}'] = heat_overlay(image, heat)
        if truth is not None:
            pictures[f'errors {number + 1}'] = error_map(image, mask, truth)
    return [panel(pictures, columns=columns)]
