"""Classes that half of the annotators would call something else, with exactly known odds."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mmdiffseg.evaluation.distributions import merge_equal_maps
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FlipClasses(BaseTransform):
    """Turn all pixels of some classes into their twins, at random over whole images.

    The Cityscapes task of Probabilistic U-Net (Kohl et al., 2018, section 4.2), and variants where
    classes flip together. Goes after ``LoadAnnotations`` and ``CheckLabels``.

    Args:
        twins: (class, the label it may become) of every class that may flip.
        probabilities: Of each, flipping by itself; or
        modes: (probability, classes that flip together), the probabilities adding up to 1.
        all_modes: Keep `gt_seg_map` and add every possible map as a rater with its probability, for
            testing, instead of drawing one.

    Example:
        >>> dict(type='mmdiffseg.FlipClasses', twins=[(3, 15), (4, 11)],
        ...      modes=[(0.6, []), (0.4, [3, 4])])  # road and pavement, both or none
    """

    def __init__(
        self,
        *,
        twins: Sequence[tuple[int, int]],
        probabilities: Sequence[float] | None = None,
        modes: Sequence[tuple[float, Sequence[int]]] | None = None,
        all_modes: bool = False,
    ) -> None:
        if (probabilities is None) == (modes is None):
            raise ValueError('give either probabilities, for independent flips, or modes')
        self.twins = dict(map(tuple, twins))
        self.all_modes = all_modes
        if probabilities is None:
            self.weights = np.array([weight for weight, _ in modes], np.float64)
            self.flips = [tuple(flipped) for _, flipped in modes]
        else:
            if len(probabilities) != len(self.twins):
                raise ValueError(
                    f'{len(probabilities)} probabilities for {len(self.twins)} twins: give one each'
                )
            self.weights, self.flips = _independent(list(self.twins), probabilities)
        unknown = {label for flipped in self.flips for label in flipped} - self.twins.keys()
        if unknown:
            raise ValueError(f'modes flip class {min(unknown)}, which has no twin')
        if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-9:
            raise ValueError(
                f'the probabilities of the modes must not be negative and add up to 1, got '
                f'{self.weights.sum():.6g}'
            )

    def transform(self, results: dict) -> dict:
        """Change `gt_seg_map` (H, W); or add `gt_raters` (H, W, M), `raters` and `rater_weights`.

        Results without a label map (inference) pass.
        """
        labels = results.get('gt_seg_map')
        if labels is None:
            return results
        if not self.all_modes:
            mode = np.random.choice(len(self.flips), p=self.weights)
            results['gt_seg_map'] = self._flipped(labels, mode)
            return results
        possible = np.flatnonzero(self.weights)
        maps = np.stack([self._flipped(labels, mode) for mode in possible])
        maps, weights, _ = merge_equal_maps(maps, self.weights[possible])
        results['gt_raters'] = maps.transpose(1, 2, 0)  # (M, H, W) -> (H, W, M)
        results['raters'] = [f'mode{number}' for number in range(1, len(maps) + 1)]
        results['rater_weights'] = weights.tolist()
        results['seg_fields'].append('gt_raters')
        return results

    def _flipped(self, labels: NDArray, mode: int) -> NDArray:
        flipped = labels.copy()
        for label in self.flips[mode]:
            flipped[labels == label] = self.twins[label]
        return flipped

    def __repr__(self) -> str:
        return f'FlipClasses(twins={self.twins}, modes={len(self.flips)}, all={self.all_modes})'


def _independent(
    labels: Sequence[int], probabilities: Sequence[float]
) -> tuple[NDArray[np.float64], list[tuple[int, ...]]]:
    """All subsets of the labels, the first label the most significant bit, and their odds."""
    weights, flips = np.ones(1), [()]
    for label, probability in zip(labels, probabilities, strict=True):
        weights = np.outer(weights, [1 - probability, probability]).ravel()
        flips = [flipped + extra for flipped in flips for extra in ((), (label,))]
    return weights, flips
