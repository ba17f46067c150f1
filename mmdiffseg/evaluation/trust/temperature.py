"""Temperature scaling, fitted on pixels that stand for all of a calibration split."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from mmdiffseg.diffusion.draws import sample_generator

#: values kept at most, 64 MiB: 400,000 pixels of 40 classes
VALUES = 2**24
RANGE = (0.05, 20.0)


class PixelReservoir:
    """A uniform random choice among all pixels that are shown to it, of bounded size.

    Every pixel has a random key, drawn from the name of its image; those with the smallest keys
    stay. The choice does not depend on the order of the images.

    Args:
        num_classes: Number K of classes.
        values: Most values to keep, K a pixel.
    """

    def __init__(self, num_classes: int, *, values: int = VALUES) -> None:
        self.size = max(1, values // num_classes)
        self.keys = np.empty(0)
        self.log_probs = np.empty((num_classes, 0), np.float32)
        self.labels = np.empty(0, np.int64)

    def add(self, name: str, log_probs: NDArray, labels: NDArray) -> None:
        """Show the pixels of an image.

        Args:
            name: Of the image.
            log_probs: Logarithms of the class probabilities (K, N).
            labels: True classes (N,).
        """
        generator = sample_generator(0, name)
        keys = torch.rand(len(labels), generator=generator, dtype=torch.float64).numpy()
        # nothing above the largest key of a full reservoir can stay
        bar = self.keys.max() if len(self.keys) == self.size else np.inf
        new = np.flatnonzero(keys < bar)
        keys = np.concatenate([self.keys, keys[new]])
        log_probs = np.concatenate([self.log_probs, log_probs[:, new]], axis=1)
        labels = np.concatenate([self.labels, labels[new]])
        if len(keys) > self.size:
            kept = np.argpartition(keys, self.size)[: self.size]
            keys, log_probs, labels = keys[kept], log_probs[:, kept], labels[kept]
        self.keys, self.log_probs, self.labels = keys, log_probs, labels


def fit_temperature(log_probs: NDArray, labels: NDArray) -> float:
    """The temperature with the smallest negative log likelihood (Guo et al. 2017).

    Args:
        log_probs: Logarithms of the class probabilities (K, N), or logits.
        labels: True classes (N,).

    Returns:
        In [0.05, 20]; above 1 where the model is too sure.

    Raises:
        ValueError: There is no pixel.
    """
    if not len(labels):
        raise ValueError('no pixel of the calibration split counts: there is nothing to fit to')
    scores, truth = torch.from_numpy(log_probs), torch.from_numpy(labels)[None]

    def surprise(log_temperature: float) -> float:
        scaled = apply_temperature(scores, float(np.exp(log_temperature)))
        return -scaled.gather(0, truth).double().mean().item()

    fit = minimize_scalar(surprise, bounds=np.log(RANGE), method='bounded')
    return float(np.exp(fit.x))


def apply_temperature(log_probs: Tensor, temperature: float) -> Tensor:
    """Logarithms of the class probabilities (K, ...) at another temperature."""
    return (log_probs / temperature).log_softmax(dim=0)
