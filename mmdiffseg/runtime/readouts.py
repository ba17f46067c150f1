"""What the chains of a picture mean: the maps to resize, and what they say afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mmdiffseg.runtime.chains import Step
from mmdiffseg.runtime.spread import Change, DepthChange, DepthSpread, Spread

#: label of pixels without a class
UNLABELLED = 255
Chains = Iterable[Iterable[Step]]
#: brings maps (C, h, w) to the size of the image that the chains are of
Resize = Callable[[np.ndarray], np.ndarray]


class Readout:
    """Reads a prediction off the chains of one picture.

    Between :meth:`read` and :meth:`fields` the maps go through windows and back to the size of the
    picture, all channels alike.

    Args:
        options: What the export says of it.

    Attributes:
        own_grid: Whether the maps stay on a grid of their own, of another size than the picture.
    """

    own_grid = False

    def __init__(self, options: dict) -> None:
        self.options = options

    def read(self, chains: Chains, resize: Resize) -> np.ndarray:
        """Maps (C, H, W) of what the chains of an image say, in its size."""
        return resize(self.maps(chains))

    def maps(self, chains: Chains) -> np.ndarray:
        """Maps (C, h, w) of what the chains say."""
        raise NotImplementedError

    def fields(self, maps: np.ndarray) -> dict:
        """What maps (C, H, W) of the size of the picture say, by the names of ``Result``."""
        raise NotImplementedError

    def _tracker(self) -> Change | Spread | None:
        measure = self.options['uncertainty']
        if measure is None:
            return None
        if measure == 'change':
            return Change()
        return Spread(measure, every_step=self.options.get('averaged') == 'every')


class Classes(Readout):
    """The mean of the outputs of all generations, and the likeliest class under it."""

    def maps(self, chains: Chains) -> np.ndarray:
        """See :meth:`Readout.maps`: the mean, and the uncertainty if there is any."""
        averaged, tracker = self.options['averaged'], self._tracker()
        total, count = 0.0, 0
        for step, last in with_ends(chains):
            if tracker is not None:
                tracker.add(step, last=last)
            if averaged == 'every':
                values = step.probability
            elif last:
                values = getattr(step, averaged)
            else:
                continue
            total, count = total + values.sum(axis=0), count + len(values)
        maps = [total / count]
        if tracker is not None:
            maps.append(tracker.map()[None])
        return np.concatenate(maps)

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`."""
        known = {}
        if self.options['uncertainty'] is not None:
            maps, known['uncertainty'] = maps[:-1], maps[-1]
        if len(maps) == 1:  # mmseg's single channel of two classes
            share = 1 / (1 + np.exp(-maps))
            labels = (share[0] > self.options['threshold']).astype(np.uint8)
            return dict(known, labels=labels, probability=np.concatenate([1 - share, share]))
        labels = as_labels(maps.argmax(axis=0), len(maps))
        return dict(known, labels=labels, probability=self._probability(maps))

    def _probability(self, maps: np.ndarray) -> np.ndarray:
        return softmax(maps) if self.options['averaged'] == 'output' else maps


class Samples(Readout):
    """Whole masks, and what they say together."""

    def maps(self, chains: Chains) -> np.ndarray:
        """See :meth:`Readout.maps`: (G K + 1, h, w), the samples and their spread."""
        tracker, ends = self._tracker(), []
        for step, last in with_ends(chains):
            tracker.add(step, last=last)
            if last:
                ends.append(step.drawn)
        samples = np.concatenate(ends)  # (G, K, h, w)
        return np.concatenate([samples.reshape(-1, *samples.shape[2:]), tracker.map()[None]])

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`."""
        classes = self.options['classes']
        samples = maps[:-1].reshape(-1, classes, *maps.shape[1:])
        mean = samples.mean(axis=0)
        return dict(
            samples=as_labels(samples.argmax(axis=1), classes),
            labels=as_labels(mean.argmax(axis=0), classes),
            probability=mean,
            uncertainty=maps[-1],
        )


class Masks(Readout):
    """SegDiff's way: masks are resized, clamped to probabilities, and only then averaged."""

    def maps(self, chains: Chains) -> np.ndarray:
        """See :meth:`Readout.maps`: (G C, h, w), the masks near -scale and scale."""
        masks = np.concatenate([step.x0 for step, last in with_ends(chains) if last])
        return masks.reshape(-1, *masks.shape[2:])

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`."""
        classes = self.options['classes']
        probs = ((maps / self.options['scale'] + 1) / 2).clip(0, 1)
        if classes == 2:
            probs = np.stack([1 - probs, probs], axis=1)  # (G, K, H, W)
        else:
            probs = probs.reshape(-1, classes, *maps.shape[1:])
        mean = probs.mean(axis=0)
        if classes == 2:
            labels = mean[1] > self.options['threshold']
        else:
            labels = mean.argmax(axis=0)
        return dict(
            samples=as_labels(probs.argmax(axis=1), classes),
            labels=as_labels(labels, classes),
            # masks of more than two classes are made for themselves
            probability=mean if classes == 2 else mean / mean.sum(axis=0).clip(min=1e-12),
            uncertainty=probs.std(axis=0).max(axis=0),
        )


class Depth(Readout):
    """Depths in metres."""

    def maps(self, chains: Chains) -> np.ndarray:
        """See :meth:`Readout.maps`: the mean depth, and the uncertainty if there is any."""
        trackers = dict(change=DepthChange, spread=DepthSpread)
        tracker = trackers.get(self.options['uncertainty'], lambda: None)()
        total, count = 0.0, 0
        for step, last in with_ends(chains):
            if tracker is not None:
                tracker.add(step, last=last)
            if last:
                total, count = total + step.output.sum(axis=0), count + len(step.output)
        maps = [(total / count).clip(*map(np.float32, self.options['limits']))]
        if tracker is not None:
            maps.append(tracker.map()[None])
        return np.concatenate(maps)

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`."""
        known = dict(depth=maps[0])
        return dict(known, uncertainty=maps[1]) if len(maps) > 1 else known


class Layers(Classes):
    """Maps of several layers, seen from above, on a grid of their own."""

    own_grid = True

    def read(self, chains: Chains, resize: Resize) -> np.ndarray:
        """See :meth:`Readout.read`."""
        return self.maps(chains)

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`: the likeliest of the layers above 1/2."""
        labels = np.where(maps.max(axis=0) > 0.5, maps.argmax(axis=0), UNLABELLED)
        return dict(labels=labels.astype(np.uint8), probability=maps)


def with_ends(chains: Chains) -> Iterator[tuple[Step, bool]]:
    """All steps of all chains, and whether a chain ends there."""
    for chain in chains:
        previous = None
        for step in chain:
            if previous is not None:
                yield previous, False
            previous = step
        yield previous, True


def softmax(maps: np.ndarray, axis: int = 0) -> np.ndarray:
    """Probabilities of logits whose classes lie along an axis."""
    powers = np.exp(maps - maps.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def as_labels(values: np.ndarray, classes: int) -> np.ndarray:
    """Labels in the smallest type that leaves one for pixels without a class."""
    return values.astype(np.uint8 if classes <= UNLABELLED else np.uint16)
