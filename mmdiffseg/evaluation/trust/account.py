"""The account of one model over a data set, from which the report is written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmdiffseg.evaluation.conformal import apply_guarantee, measured_risk
from mmdiffseg.evaluation.trust.image_numbers import (
    area_numbers,
    foreground,
    image_measures,
    map_to_numbers,
    mean_dice,
    pairwise_disagreement,
)
from mmdiffseg.evaluation.trust.labelled import LabelledPrediction
from mmdiffseg.evaluation.trust.pixel_sums import pixel_measures, sum_pixels
from mmdiffseg.evaluation.trust.probabilities import log_probabilities, uncertainty_maps
from mmdiffseg.evaluation.trust.temperature import PixelReservoir, apply_temperature
from mmdiffseg.guarantee import picture_code

Map = TypeVar('Map', NDArray, Tensor)
#: groups of images that are resampled together: one image each, until there are more than these
BLOCKS = 200
#: pictures to keep at each end
SHOWN = 3
#: the surest and least sure are told apart by these, the first that there is
DECIDES = ('samples', 'model/mean', 'entropy/mean')


class Account:
    """Adds up what a model says of the images of a data set, and how right it is.

    The pixels of image i go into block i mod 200, in arrays of a fixed size: memory does not grow
    with the number of images but for a few numbers of each. Intervals resample the blocks. With at
    most 200 images that is the usual bootstrap over images.

    Args:
        meta: ``classes`` of the data, and their ``palette`` where pictures are drawn.
        temperature: Divides the logarithms of the probabilities.
        guarantee: A guarantee of the model, to be tested on the images that it was not calibrated
            on.
        ignore_index: Label of the pixels that do not count.
        device: Where pixels are summed up.

    Example:
        >>> account = Account(dataset.metainfo)
        >>> for image in labelled_predictions:
        ...     account.add(image)
        >>> account.measures()['ECE']
    """

    def __init__(
        self,
        meta: dict,
        *,
        temperature: float = 1.0,
        guarantee: dict | None = None,
        ignore_index: int = 255,
        device: str | torch.device = 'cpu',
    ) -> None:
        self.meta = meta
        self.classes = list(meta['classes'])
        self.temperature = temperature
        self.guarantee = guarantee
        known = guarantee['calibrated_on'].get('pictures', ()) if guarantee else ()
        self._calibrated_on = set(known)
        self.ignore_index = ignore_index
        self.device = device
        self.names: list[str] = []
        self.left_out = 0
        self.surest: list[tuple[float, int, LabelledPrediction]] = []
        self.least_sure: list[tuple[float, int, LabelledPrediction]] = []
        self._pixels: dict[str, NDArray] = {}
        self._numbers: list[dict[str, float]] = []

    def add(self, image: LabelledPrediction) -> None:
        """Account for one image.

        Args:
            image: What the model says of it, and the truth.

        Raises:
            ValueError: The probabilities are none, see :func:`log_probabilities`.
        """
        probability = torch.from_numpy(image.probability).to(self.device)
        log_probs = log_probabilities(probability, image.path)
        valid = (image.raters != self.ignore_index).all(axis=0)
        if not valid.any():
            self.left_out += 1
            return
        if self.temperature != 1:
            log_probs = apply_temperature(log_probs, self.temperature)
            probability = log_probs.exp()
        model, samples = (
            None if map_ is None else torch.from_numpy(map_).to(self.device)
            for map_ in (image.uncertainty, image.samples)
        )
        maps = uncertainty_maps(probability, model=model, samples=samples)
        self._add_pixels(log_probs, image, valid, maps)

        scored = foreground(len(self.classes))
        numbers = image_numbers(image, probability.cpu().numpy(), valid, scored)
        for name, map_ in maps.items():
            ways = map_to_numbers(map_.cpu().numpy(), image.labels, valid)
            numbers |= {f'doubt/{name}/{way}': number for way, number in ways.items()}
        if self.guarantee:
            numbers |= self._test_guarantee(image)
        self.names.append(Path(image.path).name)
        self._numbers.append(numbers)
        own = maps.get('model', maps['entropy']).cpu().numpy()
        # without what is large and not shown
        shown = replace(image, probability=None, samples=None, uncertainty=own)
        self._show(shown, numbers)

    def _test_guarantee(self, image: LabelledPrediction) -> dict[str, float]:
        # a guarantee is about the model as it is, at no temperature
        admitted = apply_guarantee(image.probability, self.guarantee, image.samples)
        options = dict(risk=self.guarantee['risk'], ignore_index=self.ignore_index)
        risks = [measured_risk(admitted, labels, **options) for labels in image.raters]
        if isinstance(admitted, tuple):
            masks = dict(zip(('inner', 'outer'), admitted, strict=True))
            sizes = {name: mask.mean() for name, mask in masks.items() if mask is not None}
        else:
            sizes = dict(classes=admitted.sum(axis=0).mean())
        numbers = dict(sizes, risk=np.average(risks, weights=image.weights))
        known = picture_code(image.path) in self._calibrated_on
        return {f'promise/{k}': math.nan if known else float(v) for k, v in numbers.items()}

    def _add_pixels(
        self,
        log_probs: Tensor,
        image: LabelledPrediction,
        valid: NDArray,
        maps: Mapping[str, Tensor],
    ) -> None:
        block = len(self.names) % BLOCKS
        counted = torch.from_numpy(valid).to(self.device)
        log_probs = select_pixels(log_probs, counted)
        maps = {name: select_pixels(map_, counted) for name, map_ in maps.items()}
        predicted, *raters = (
            torch.from_numpy(select_pixels(labels, valid).astype(np.int64)).to(self.device)
            for labels in (image.labels, *image.raters)
        )
        for labels, weight in zip(raters, image.weights, strict=True):
            sums = sum_pixels(log_probs, predicted, labels, maps)
            for name, value in sums.items():
                if name not in self._pixels:
                    self._pixels[name] = np.zeros((BLOCKS, *value.shape))
                self._pixels[name][block] += weight * value

    def _show(self, image: LabelledPrediction, numbers: dict[str, float]) -> None:
        doubt = next(numbers[f'doubt/{name}'] for name in DECIDES if f'doubt/{name}' in numbers)
        for shown, order in ((self.surest, doubt), (self.least_sure, -doubt)):
            shown.append((order, len(self.names), image))
            shown.sort(key=lambda entry: entry[:2])
            del shown[SHOWN:]

    @property
    def blocks(self) -> int:
        """Blocks that hold an image."""
        return min(BLOCKS, len(self.names))

    def pixel_sums(self, counts: NDArray | None = None) -> dict[str, NDArray]:
        """Sums over the pixels of all images, or of blocks drawn ``counts`` (blocks,) times."""
        counts = np.ones(self.blocks) if counts is None else counts
        return {
            name: np.tensordot(counts, sums[: self.blocks], axes=1)
            for name, sums in self._pixels.items()
        }

    def columns(self, counts: NDArray | None = None) -> dict[str, NDArray]:
        """The numbers of the images, (n,) each; those of a block as often as it was drawn."""
        columns = {name: np.array([n[name] for n in self._numbers]) for name in self._numbers[0]}
        if counts is None:
            return columns
        times = counts[np.arange(len(self.names)) % BLOCKS].astype(np.int64)
        return {name: np.repeat(column, times) for name, column in columns.items()}

    def measures(self, counts: NDArray | None = None) -> dict[str, float]:
        """All measures, of all images or of blocks drawn ``counts`` (blocks,) times."""
        columns = self.columns(counts)
        measures = pixel_measures(self.pixel_sums(counts)) | image_measures(columns)
        for name in filter(lambda name: name.startswith('promise/'), columns):
            new = columns[name][np.isfinite(columns[name])]
            measures[name] = float(new.mean()) if new.size else math.nan
        return measures


def select_pixels(maps: Map, valid: Map) -> Map:
    """The pixels (..., N) of arrays or tensors (..., H, W) that count (H, W).

    Most often all do, and then nothing is copied.
    """
    return maps.reshape(*maps.shape[:-2], -1) if valid.all() else maps[..., valid]


def image_numbers(
    image: LabelledPrediction, probability: NDArray, valid: NDArray, classes: Sequence[int]
) -> dict[str, float]:
    """How wrong an image is, how wrong its areas are, and how much its samples disagree.

    Args:
        image: What the model says of it, and the truth.
        probability: Class probabilities (K, H, W), at the temperature of the account.
        valid: Pixels (H, W) that count.
        classes: Classes to score by.
    """
    predicted, raters = select_pixels(image.labels, valid), select_pixels(image.raters, valid)
    several = image.samples is not None and len(image.samples) > 1
    samples = select_pixels(image.samples, valid) if several else None
    dice = [mean_dice(predicted, labels, classes) for labels in raters]
    numbers = dict(
        risk=float(1 - np.average(dice, weights=image.weights)),
        **area_numbers(
            predicted,
            raters,
            image.weights,
            probs=select_pixels(probability, valid),
            samples=samples,
            classes=classes,
        ),
    )
    if several:
        numbers['doubt/samples'] = pairwise_disagreement(samples, classes)
    return numbers


def reservoir_of(
    images: Iterable[LabelledPrediction], num_classes: int, *, ignore_index: int = 255
) -> PixelReservoir:
    """Pixels of predictions with labels, to fit a temperature to."""
    reservoir = PixelReservoir(num_classes)
    for image in images:
        log_probs = log_probabilities(torch.from_numpy(image.probability), image.path).numpy()
        for labels in image.raters:
            valid = labels != ignore_index
            reservoir.add(image.path, log_probs[:, valid], labels[valid].astype(np.int64))
    return reservoir
