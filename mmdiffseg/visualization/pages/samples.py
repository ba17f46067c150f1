"""Pages about the samples of an image beside its raters."""

import numpy as np
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from mmdiffseg.evaluation.distributions import label_distances, merge_equal_maps
from mmdiffseg.visualization import label_overlay, mode_bars, panel


def sample_pages(
    image: NDArray,
    sample: BaseDataElement,
    meta: dict,
    *,
    max_raters: int = 8,
    max_samples: int = 8,
    columns: int = 4,
    ignore_index: int = 255,
) -> list[NDArray]:
    """The raters, samples with the rater that is nearest, and how often each rater is.

    Equal raters are shown as one. The caption of a sample says which rater is nearest and how far.

    Args:
        image: The image (H, W, 3), uint8 RGB.
        sample: Its ``gt_raters`` (R, H, W) and ``samples`` (S, H, W), the names ``raters`` and, if
            they have some, ``rater_weights``.
        meta: ``classes`` and ``palette`` of the data.
        max_raters: Raters to show, by weight.
        max_samples: Samples to show, the first.
        columns: Pictures in a row.
        ignore_index: Label of the pixels that do not count.

    Returns:
        One page, uint8 RGB.
    """
    raters, samples = (sample.get(key).data.cpu().numpy() for key in ('gt_raters', 'samples'))
    weights = np.asarray(sample.get('rater_weights', np.full(len(raters), 1 / len(raters))))
    names = list(sample.raters)
    raters, weights, mode = merge_equal_maps(raters, weights)
    names = [
        ', '.join(name for name, its in zip(names, mode, strict=True) if its == number)
        for number in range(len(raters))
    ]
    valid = (raters != ignore_index).all(axis=0)
    foreground = range(1, len(meta['classes']))
    across = label_distances(raters[:, valid], samples[:, valid], classes=foreground)  # (R, S)
    nearest = across.argmin(axis=0)

    captions = {'image': image}
    for number in np.argsort(-weights, kind='stable')[:max_raters]:
        captions[f'{names[number]}: {weights[number]:.2f}'] = raters[number]
    for number, labels in enumerate(samples[:max_samples], start=1):
        rater, distance = names[nearest[number - 1]], across[:, number - 1].min()
        captions[f'sample {number}: {distance:.2f} to {rater}'] = labels
    pictures = {
        caption: labels if labels.ndim == 3 else label_overlay(image, labels, meta['palette'])
        for caption, labels in captions.items()
    }
    present = np.union1d(raters, samples).tolist()
    entries = enumerate(zip(meta['classes'], meta['palette'], strict=True))
    legend = {name: colour for label, (name, colour) in entries if label in present}
    page = panel(pictures, columns=columns, legend=legend)

    counts = np.bincount(nearest, minlength=len(raters)) / len(samples)
    shares = {
        'raters': dict(zip(names, weights.tolist(), strict=True)),
        f'{len(samples)} samples, by the nearest rater': dict(
            zip(names, counts.tolist(), strict=True)
        ),
    }
    bars = mode_bars(shares, size=(page.shape[1], 260))
    return [np.concatenate([page, bars])]
