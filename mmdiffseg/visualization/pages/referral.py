"""Pages about what sentences mean in an image."""

import textwrap

import numpy as np
import torch
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.models.referring.ref_diff import Referral
from mmdiffseg.visualization import error_map, heat_overlay, label_overlay, panel

CAPTION_LENGTH = 34
ANSWER, OTHER = (230, 57, 70), (69, 123, 157)


def answer_page(image: NDArray, referral: Referral, *, proposals: int = 3) -> NDArray:
    """Draw an answer: mask, heat map, best proposals with their scores, and notes.

    Args:
        image: (H, W, 3) uint8 RGB.
        referral: The answer to a sentence about it.
        proposals: Number of proposals to show at most.

    Returns:
        The page, uint8 RGB.
    """

    def tinted(mask: torch.Tensor, colour: tuple[int, int, int]) -> NDArray:
        return label_overlay(image, np.where(mask.numpy(), 0, 255), [colour])

    caption = textwrap.shorten(referral.text, CAPTION_LENGTH, placeholder='...')
    pictures = {'image': image, caption: tinted(referral.mask, ANSWER)}
    if referral.heat is not None:
        heat = heat_overlay(image, referral.heat.numpy())
        pictures[f'attention of "{referral.root.word}"'] = heat
    kept = referral.keep.nonzero().flatten().tolist()
    best = sorted(kept, key=lambda i: referral.total[i].item(), reverse=True)[:proposals]
    for rank, i in enumerate(best, start=1):
        scores = ' '.join(f'{view} {score[i]:.2f}' for view, score in referral.scores.items())
        colour = ANSWER if i == referral.index else OTHER
        pictures[f'{rank}: {scores}'] = tinted(referral.proposals[i], colour)
    return panel(pictures, notes=referral.notes)


def referral_pages(
    image: NDArray, sample: SegDataSample, meta: dict, *, columns: int = 4
) -> list[NDArray]:
    """The panel of an image and the sentences about it.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: Its ``text`` or ``texts``, ``pred_instances.masks`` (n, H, W), one for each
            sentence, and optionally ``attn_map`` (n, H, W) and ``gt_sem_seg`` (1, H, W).
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
