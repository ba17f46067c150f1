"""Pages about the label map of an image."""

from collections.abc import Iterable, Sequence

import numpy as np
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.visualization import error_map, grey_map, heat_overlay, label_overlay, panel


def label_pages(
    image: NDArray,
    sample: SegDataSample,
    predictions: dict[str, PixelData],
    film: Sequence[SegDataSample],
    meta: dict,
) -> list[NDArray]:
    """The panel of an image (see :func:`draw_panel`), and a page for each step of its film."""
    pages = [draw_panel(image, sample, predictions, meta)]
    # of all frames, whose pages must have one size
    legend = colours_of([frame.pred_sem_seg for frame in film], meta)
    for step, frame in enumerate(film, start=1):
        pictures = draw_frame(image, frame, f'step {step} of {len(film)}', meta)
        pages.append(panel(pictures, legend=legend))
    return pages


def colours_of(maps: Iterable[PixelData], meta: dict) -> dict[str, Sequence[int]]:
    """Names and colours of the classes that occur in some label maps."""
    present = set().union(*(np.unique(_array(map_)).tolist() for map_ in maps))
    entries = enumerate(zip(meta['classes'], meta['palette'], strict=True))
    return {name: colour for index, (name, colour) in entries if index in present}


def draw_panel(
    image: NDArray,
    sample: SegDataSample,
    predictions: dict[str, PixelData],
    meta: dict,
    *,
    columns: int = 4,
) -> NDArray:
    """One page about one image.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: Its ``pred_sem_seg``, whose errors are shown if it has ``gt_sem_seg``, and maybe
            ``seg_prob``, the probability of the foreground, and ``uncertainty``.
        predictions: Label map to show under each caption.
        meta: ``classes`` and ``palette`` of the data.
        columns: Pictures in a row.

    Returns:
        The page, uint8 RGB.
    """
    labels = dict(predictions)
    if 'gt_sem_seg' in sample:
        labels = {'ground truth': sample.gt_sem_seg, **labels}
    pictures = {'image': image}
    for caption, map_ in labels.items():
        pictures[caption] = label_overlay(image, _array(map_), meta['palette'])
    if 'seg_prob' in sample:
        pictures['probability'] = grey_map(_array(sample.seg_prob))
    if 'uncertainty' in sample:
        pictures['uncertainty'] = heat_overlay(image, _array(sample.uncertainty))
    if 'gt_sem_seg' in sample:
        pictures['errors'] = error_map(
            image, _array(sample.pred_sem_seg), _array(sample.gt_sem_seg)
        )
    return panel(pictures, columns=columns, legend=colours_of(labels.values(), meta))


def draw_frame(
    image: NDArray, frame: SegDataSample, caption: str, meta: dict
) -> dict[str, NDArray]:
    """Pictures of one step of a film, by caption.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        frame: The ``pred_sem_seg`` of the step; where two classes are denoised as a mask also
            ``noisy_map``, what went into the network, and ``seg_logits``, the probabilities.
        caption: Of the prediction.
        meta: ``classes`` and ``palette`` of the data.
    """
    pictures = {'image': image}
    if 'noisy_map' in frame and len(meta['classes']) == 2:
        pictures['noisy mask'] = grey_map(frame.noisy_map.data[1].cpu().numpy())
        pictures['its estimate'] = grey_map(frame.seg_logits.data[1].cpu().numpy())
    pictures[caption] = label_overlay(image, _array(frame.pred_sem_seg), meta['palette'])
    return pictures


def _array(map_: PixelData) -> NDArray:
    return map_.data[0].cpu().numpy()  # (1, H, W) -> (H, W)
