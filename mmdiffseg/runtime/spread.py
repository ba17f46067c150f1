"""How uncertain a prediction is: :mod:`mmdiffseg.diffusion.uncertainty` for one image, in numpy."""

from __future__ import annotations

import numpy as np

from mmdiffseg.runtime.chains import Step


class Change:
    """How often a pixel's class changes from step to step."""

    def __init__(self) -> None:
        self.changes: np.ndarray | float = 0.0
        self.transitions = 0
        self.previous: np.ndarray | None = None

    def add(self, step: Step, *, last: bool) -> None:
        """Look at a step, the last of its chain or not."""
        now = self.read(step)
        if step.index == 0:
            self.changes = self.changes + np.zeros(now.shape[1:], dtype=np.float32)
        else:
            self.changes = self.changes + self.compare(now, self.previous).sum(axis=0)
            self.transitions += len(now)
        self.previous = now

    def read(self, step: Step) -> np.ndarray:
        """What is compared, (rows, h, w)."""
        return step.output.argmax(axis=1)

    def compare(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        """How much a pixel has changed, in [0, 1]."""
        return (now != before).astype(np.float32)

    def map(self) -> np.ndarray:
        """Mean change (h, w) in [0, 1]; zero for a chain of one step."""
        return (self.changes / max(self.transitions, 1)).astype(np.float32)


class DepthChange(Change):
    """How much a pixel's depth changes from step to step, as a share of the larger one."""

    def read(self, step: Step) -> np.ndarray:
        """See :meth:`Change.read`."""
        return step.output[:, 0]

    def compare(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        """See :meth:`Change.compare`."""
        return np.abs(now - before) / np.maximum(now, before)


class DepthSpread:
    """Standard deviation of the final depths over their root mean square."""

    def __init__(self) -> None:
        self.depths: list[np.ndarray] = []

    def add(self, step: Step, *, last: bool) -> None:
        """See :meth:`Change.add`."""
        if last:
            self.depths.extend(step.output[:, 0].astype(np.float64))

    def map(self) -> np.ndarray:
        """(h, w) in [0, 1]."""
        depths = np.stack(self.depths)
        square = (depths**2).mean(axis=0)
        variance = square - depths.mean(axis=0) ** 2
        return np.sqrt((variance / square).clip(0, 1)).astype(np.float32)


class Spread:
    """``entropy``, ``mutual_information`` or ``variance`` of the generations.

    Args:
        measure: One of the three.
        every_step: The steps count as parts of the prediction, too.
    """

    def __init__(self, measure: str, *, every_step: bool = False) -> None:
        self.measure = measure
        self.every_step = every_step
        self.parts = 0
        self.total: np.ndarray | float = 0.0
        self.total_square: np.ndarray | float = 0.0
        self.total_entropy: np.ndarray | float = 0.0

    def add(self, step: Step, *, last: bool) -> None:
        """See :meth:`Change.add`."""
        if not (last or self.every_step):
            return
        probability = step.probability  # (rows, K, h, w)
        self.parts += len(probability)
        self.total = self.total + probability.sum(axis=0)
        if self.measure == 'variance':
            self.total_square = self.total_square + np.square(probability).sum(axis=0)
        if self.measure == 'mutual_information':
            self.total_entropy = self.total_entropy + entropy(probability).sum(axis=0)

    def map(self) -> np.ndarray:
        """The measure (h, w) in [0, 1]."""
        mean = self.total / self.parts  # (K, h, w)
        if self.measure == 'entropy':
            spread = entropy(mean)
        elif self.measure == 'mutual_information':
            spread = entropy(mean) - self.total_entropy / self.parts
        else:
            variance = self.total_square / self.parts - np.square(mean)
            spread = variance.sum(axis=0) / (1 - 1 / len(mean))
        return spread.clip(0, 1).astype(np.float32)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy (..., h, w) of probabilities (..., K, h, w), over the log of K."""
    positive = np.maximum(probability, np.finfo(np.float32).tiny)
    nats = -(probability * np.log(positive)).sum(axis=-3)
    return nats / np.log(probability.shape[-3])
