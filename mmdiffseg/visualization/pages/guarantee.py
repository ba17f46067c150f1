"""Pages about what a guarantee admits on a photograph."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.guarantee import RISKS, apply_guarantee
from mmdiffseg.visualization.admitted import INNER, LEVELS, OUTER, admission_map, outline_overlay
from mmdiffseg.visualization.overlay import grey_map, heat_overlay
from mmdiffseg.visualization.panel import panel

NAMES = dict(inner='surely object', outer='possibly object')
COLOURS = dict(inner=INNER, outer=OUTER)
TRUTH = (255, 255, 255)


def guarantee_page(
    image: NDArray,
    probability: NDArray,
    guarantees: Mapping[float, dict],
    *,
    samples: NDArray | None = None,
    labels: NDArray | None = None,
) -> NDArray[np.uint8]:
    """One page: the outlines of one guarantee, and what several of them admit.

    Args:
        image: The photograph (H, W, 3), uint8 RGB.
        probability: Class probabilities (K, H, W).
        guarantees: Guarantees of one kind and risk by their ``alpha``; up to three. The one in the
            middle is outlined.
        samples: Label maps (G, H, W), where the guarantees are fitted on samples.
        labels: True classes (H, W), to be outlined too.

    Returns:
        The page, uint8 RGB.
    """
    ordered = [guarantees[alpha] for alpha in sorted(guarantees, reverse=True)]
    admitted = [apply_guarantee(probability, one, samples) for one in ordered]
    middle = len(ordered) // 2
    promises = [f'{100 * (1 - one["alpha"]):g} %' for one in ordered]
    note = f'The promise is a mean over new images. Risk: {RISKS[ordered[middle]["risk"]]}.'
    if not isinstance(admitted[0], tuple):
        most = len(probability)
        pictures = {'image': image} | {
            f'classes admitted, {promise}': heat_overlay(
                image, (sets.sum(axis=0) - 1) / max(most - 1, 1)
            )
            for promise, sets in zip(promises, admitted, strict=True)
        }
        return panel(pictures, notes=[f'Dark: one class, bright: all {most}. {note}'])
    masks = dict(zip(NAMES, admitted[middle], strict=True))
    masks = {NAMES[name]: mask for name, mask in masks.items() if mask is not None}
    colours = {NAMES[name]: colour for name, colour in COLOURS.items()}
    if labels is not None:
        masks, colours = {'truth': labels == 1, **masks}, {'truth': TRUTH, **colours}
    pictures = {
        'image': image,
        'probability': grey_map(probability[1]),
        f'a guarantee of {promises[middle]}': outline_overlay(image, masks, colours),
    }
    side = 1 if admitted[0][1] is not None else 0
    levels = [both[side] for both in admitted]
    legend = {name: colours[name] for name in masks}
    if side:  # inner masks shrink instead, and are nested the other way round
        caption, shown = 'admitted at', levels
    else:
        caption, shown, promises = 'sure at', levels[::-1], promises[::-1]
    pictures[f'{caption} {", ".join(promises)}'] = admission_map(image, shown)
    legend |= {
        f'{caption} {promise}': colour for promise, colour in zip(promises, LEVELS, strict=False)
    }
    return panel(pictures, legend=legend, notes=[note])
