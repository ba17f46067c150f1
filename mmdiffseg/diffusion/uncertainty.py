"""Uncertainty maps read off the chains of a sampling run.

A tracker follows ``images`` images through any number of chains. The batch of a chain holds all
images once per generation, generation-major: (G B, K, h, w).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from mmdiffseg.diffusion.samplers import Chain, Step


class Tracker:
    """Looks at every step of some chains and makes a map of what it saw.

    Args:
        images: Number B of images in the batch of each chain.

    Example:
        >>> tracker = ChangeCount(images=2)
        >>> for chain in tracker.watch(chains):
        ...     for step in chain:
        ...         pass
        >>> tracker.map().shape
        torch.Size([2, 1, 128, 128])
    """

    def __init__(self, images: int) -> None:
        self.images = images

    def watch(self, chains: Iterable[Chain]) -> Iterator[Chain]:
        """Hand the chains on, and add each step before somebody else sees it."""
        for chain in chains:
            yield self._watch(chain)

    def _watch(self, chain: Chain) -> Chain:
        for step in chain:
            self.add(step)
            yield step

    def add(self, step: Step) -> None:
        """Look at one step; a step of index 0 begins another chain."""
        raise NotImplementedError

    def map(self) -> Tensor:
        """What was seen (B, 1, h, w), in [0, 1]."""
        raise NotImplementedError


class ChangeCount(Tracker):
    """How often a pixel's class changes from step to step: DDP's uncertainty.

    Args:
        images: Number B of images in the batch of each chain.
        class_maps: Turns an output into maps of all classes (G B, K, h, w), where it is none.
    """

    def __init__(self, images: int, *, class_maps: Callable[[Any], Tensor] | None = None) -> None:
        super().__init__(images)
        self.class_maps = class_maps
        self.previous: Tensor | None = None
        self.changes: Tensor | None = None
        self.transitions = 0

    def add(self, step: Step) -> None:
        """Compare the arg-max of a step with that of the step before."""
        maps = step.output if self.class_maps is None else self.class_maps(step.output)
        classes = maps.argmax(dim=1)  # (G B, h, w)
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


class DepthChange(Tracker):
    """How much a pixel's depth changes from step to step."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.previous: Tensor | None = None
        self.changes: Tensor | None = None
        self.transitions = 0

    def add(self, step: Step) -> None:
        """Compare the depths of a step with those of the step before."""
        depth = step.output.float().unflatten(0, (-1, self.images))  # (G, B, 1, h, w)
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


class LastStepTracker(Tracker):
    """A tracker of the steps that a prediction is made of.

    Args:
        images: Number B of images in the batch of each chain.
        every_step: All steps of a chain count, not only the one it ends in.
    """

    def __init__(self, images: int, *, every_step: bool = False) -> None:
        super().__init__(images)
        self.every_step = every_step
        self.last: Step | None = None

    def add(self, step: Step) -> None:
        """Keep the step; the one before it was a chain's end if this one begins a chain."""
        if step.index == 0 or self.every_step:
            self.close()
        self.last = step

    def close(self) -> None:
        """Take account of the step that was kept."""
        if self.last is not None:
            self.add_output(self.last.output)
            self.last = None

    def add_output(self, output: Tensor) -> None:
        """Take account of an output (G B, K, h, w)."""
        raise NotImplementedError


class PredictionSpread(LastStepTracker):
    """How uncertain the averaged prediction is, and how much its parts disagree.

    The parts are the generations; the steps too, where the prediction is averaged over them. All
    three measures lie in [0, 1]: ``entropy`` of the mean (total uncertainty, over log K),
    ``mutual_information`` (that less the mean entropy of a part: what the parts disagree about)
    and ``variance`` (of the class probabilities, summed over classes and divided by its largest
    possible value 1 - 1/K).

    Args:
        images: Number B of images in the batch of each chain.
        measure: One of the three.
        probabilities: Turns an output into class probabilities (G B, K, h, w).
        every_step: See :class:`LastStepTracker`.
    """

    measures = ('entropy', 'mutual_information', 'variance')

    def __init__(
        self,
        images: int,
        *,
        measure: str,
        probabilities: Callable[[Tensor], Tensor],
        every_step: bool = False,
    ) -> None:
        if measure not in self.measures:
            raise ValueError(f'measure must be one of {self.measures}, got {measure!r}')
        super().__init__(images, every_step=every_step)
        self.measure = measure
        self.probabilities = probabilities
        self.parts = 0
        self.total: Tensor | float = 0.0
        self.total_square: Tensor | float = 0.0
        self.total_entropy: Tensor | float = 0.0

    def add_output(self, output: Tensor) -> None:
        """Add the generations of an output."""
        probs = self.probabilities(output).float()
        probs = probs.unflatten(0, (-1, self.images))  # (G, B, K, h, w)
        self.parts += len(probs)
        self.total = self.total + probs.sum(dim=0)
        self.total_square = self.total_square + probs.square().sum(dim=0)
        self.total_entropy = self.total_entropy + entropy(probs, dim=2).sum(dim=0)

    def map(self) -> Tensor:
        """The chosen measure (B, 1, h, w) in [0, 1]."""
        self.close()
        mean = self.total / self.parts  # (B, K, h, w)
        if self.measure == 'entropy':
            spread = entropy(mean, dim=1)
        elif self.measure == 'mutual_information':
            spread = entropy(mean, dim=1) - self.total_entropy / self.parts
        else:
            variance = self.total_square / self.parts - mean.square()
            spread = variance.sum(dim=1) / (1 - 1 / mean.shape[1])
        return spread.clamp(0, 1).unsqueeze(1)  # rounding may leave the interval by an ulp


class DepthSpread(LastStepTracker):
    """How much the final depths of several generations differ."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.parts = 0
        self.total: Tensor | float = 0.0
        self.total_square: Tensor | float = 0.0

    def add_output(self, output: Tensor) -> None:
        """Add the generations of an output."""
        depth = output.double().unflatten(0, (-1, self.images))  # (G, B, 1, h, w)
        self.parts += len(depth)
        self.total = self.total + depth.sum(dim=0)
        self.total_square = self.total_square + depth.square().sum(dim=0)

    def map(self) -> Tensor:
        """Standard deviation over the root mean square, (B, 1, h, w) in [0, 1]."""
        self.close()
        square = self.total_square / self.parts
        variance = square - (self.total / self.parts).square()
        # rounding may leave the interval by an ulp
        return (variance / square).clamp(0, 1).sqrt().float()


def entropy(probs: Tensor, dim: int) -> Tensor:
    """Entropy of probabilities along ``dim``, divided by the log of their number: in [0, 1]."""
    nats = torch.special.entr(probs).sum(dim)
    return nats / math.log(probs.shape[dim])
