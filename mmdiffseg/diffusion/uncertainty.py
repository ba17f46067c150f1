"""Uncertainty maps read off a sampling run, as callbacks that any sampler accepts.

Each tracker follows ``images`` images through any number of chains. A chain's batch holds all
images once per generation, generation-major: (generations * images, K, h, w).
"""

import math

import torch
from torch import Tensor

from mmdiffseg.diffusion.samplers import Step


class ChangeCount:
    """How often a pixel's class changes from step to step: DDP's uncertainty.

    Args:
        images: Number B of images in each chain's batch.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.previous: Tensor | None = None
        self.changes: Tensor | None = None
        self.transitions = 0

    def __call__(self, step: Step) -> None:
        """Compare one step's arg-max with the one before it."""
        classes = step.logits.argmax(dim=1)  # (G * B, h, w)
        classes = classes.unflatten(0, (-1, self.images))  # (G, B, h, w)
        if step.index == 0:
            self.previous = classes
            if self.changes is None:
                self.changes = torch.zeros_like(classes[0], dtype=torch.float32)
            return
        self.changes += (classes != self.previous).sum(dim=0)
        self.transitions += len(classes)
        self.previous = classes

    def map(self) -> Tensor:
        """Changes over possible changes, (B, 1, h, w) in [0, 1]; zero for a chain of one step."""
        return (self.changes / max(self.transitions, 1)).unsqueeze(1)


class GenerationSpread:
    """How uncertain the last predictions of several generations are, and how much they disagree.

    All three measures lie in [0, 1]: ``entropy`` of the mean prediction (total uncertainty, over
    log K), ``mutual_information`` (that less the mean entropy of a single generation: what the
    generations disagree about) and ``variance`` (of the class probabilities, summed over classes
    and divided by its largest possible value 1 - 1/K).

    Args:
        images: Number B of images in each chain's batch.
        steps: Number of steps of the chains.
        measure: One of the three.
    """

    measures = ('entropy', 'mutual_information', 'variance')

    def __init__(self, images: int, *, steps: int, measure: str) -> None:
        if measure not in self.measures:
            raise ValueError(f'measure must be one of {self.measures}, got {measure!r}')
        self.images = images
        self.last = steps - 1
        self.measure = measure
        self.generations = 0
        self.total: Tensor | float = 0.0
        self.total_square: Tensor | float = 0.0
        self.total_entropy: Tensor | float = 0.0

    def __call__(self, step: Step) -> None:
        """Add the generations of a finished chain."""
        if step.index != self.last:
            return
        probs = step.logits.float().softmax(dim=1)
        probs = probs.unflatten(0, (-1, self.images))  # (G, B, K, h, w)
        self.generations += len(probs)
        self.total = self.total + probs.sum(dim=0)
        self.total_square = self.total_square + probs.square().sum(dim=0)
        self.total_entropy = self.total_entropy + entropy(probs, dim=2).sum(dim=0)

    def map(self) -> Tensor:
        """The chosen measure (B, 1, h, w) in [0, 1]."""
        mean = self.total / self.generations  # (B, K, h, w)
        if self.measure == 'entropy':
            spread = entropy(mean, dim=1)
        elif self.measure == 'mutual_information':
            spread = entropy(mean, dim=1) - self.total_entropy / self.generations
        else:
            variance = self.total_square / self.generations - mean.square()
            spread = variance.sum(dim=1) / (1 - 1 / mean.shape[1])
        return spread.clamp(0, 1).unsqueeze(1)  # rounding may leave the interval by an ulp


class DepthChange:
    """How much a pixel's depth changes from step to step.

    Args:
        images: Number B of images in each chain's batch.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.previous: Tensor | None = None
        self.changes: Tensor | None = None
        self.transitions = 0

    def __call__(self, step: Step) -> None:
        """Compare one step's depths with those before it."""
        depth = step.logits.float().unflatten(0, (-1, self.images))  # (G, B, 1, h, w)
        if step.index == 0:
            self.previous = depth
            if self.changes is None:
                self.changes = torch.zeros_like(depth[0])
            return
        change = (depth - self.previous).abs() / torch.maximum(depth, self.previous)
        self.changes += change.sum(dim=0)
        self.transitions += len(change)
        self.previous = depth

    def map(self) -> Tensor:
        """Mean change over the larger depth, (B, 1, h, w) in [0, 1]; zero for a single step."""
        return self.changes / max(self.transitions, 1)


class DepthSpread:
    """How much the last depths of several generations differ.

    Args:
        images: Number B of images in each chain's batch.
        steps: Number of steps of the chains.
    """

    def __init__(self, images: int, *, steps: int) -> None:
        self.images = images
        self.last = steps - 1
        self.generations = 0
        self.total: Tensor | float = 0.0
        self.total_square: Tensor | float = 0.0

    def __call__(self, step: Step) -> None:
        """Add the generations of a finished chain."""
        if step.index != self.last:
            return
        depth = step.logits.double().unflatten(0, (-1, self.images))  # (G, B, 1, h, w)
        self.generations += len(depth)
        self.total = self.total + depth.sum(dim=0)
        self.total_square = self.total_square + depth.square().sum(dim=0)

    def map(self) -> Tensor:
        """Standard deviation over the root mean square, (B, 1, h, w) in [0, 1]."""
        square = self.total_square / self.generations
        variance = square - (self.total / self.generations).square()
        # rounding may leave the interval by an ulp
        return (variance / square).clamp(0, 1).sqrt().float()


def entropy(probs: Tensor, dim: int) -> Tensor:
    """Entropy of probabilities along ``dim``, divided by the log of their number: in [0, 1]."""
    nats = torch.special.entr(probs).sum(dim)
    return nats / math.log(probs.shape[dim])
