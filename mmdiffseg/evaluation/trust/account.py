"""The account of one model over a data set, from which the report is written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor

from mmdiffseg.evaluation.conformal import Admitted, apply_guarantee, measured_risk
from mmdiffseg.evaluation.distributions import merge_equal_maps
from mmdiffseg.evaluation.trust.image_numbers import (
    area_numbers,
    foreground,
    image_measures,
    map_to_numbers,
    mean_dice,
    pairwise_disagreement,
)
from mmdiffseg.evaluation.trust.pixel_sums import pixel_measures, sum_pixels
from mmdiffseg.evaluation.trust.probabilities import log_probabilities, uncertainty_maps
from mmdiffseg.evaluation.trust.temperature import PixelReservoir, apply_temperature
from mmdiffseg.guarantee import picture_code

#: groups of images that are resampled together: one image each, until there are more than these
BLOCKS = 200
#: pictures to keep at each end
SHOWN = 3
#: what is shown of these pictures
PICTURED = ('pred_sem_seg', 'gt_sem_seg', 'uncertainty')
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

    Example:
        >>> account = Account(dataset.metainfo)
        >>> for sample in predictions:
        ...     account.add(sample)
        >>> account.measures()['ECE']
    """

    def __init__(
        self,
        meta: dict,
        *,
        temperature: float = 1.0,
        guarantee: dict | None = None,
        ignore_index: int = 255,
    ) -> None:
        self.meta = meta
        self.classes = list(meta['classes'])
        self.temperature = temperature
        self.guarantee = guarantee
        known = guarantee['calibrated_on'].get('pictures', ()) if guarantee else ()
        self._calibrated_on = set(known)
        self.ignore_index = ignore_index
        self.names: list[str] = []
        self.left_out = 0
        self.surest: list[tuple[float, int, SegDataSample]] = []
        self.least_sure: list[tuple[float, int, SegDataSample]] = []
        self._pixels: dict[str, NDArray] = {}
        self._numbers: list[dict[str, float]] = []

    def add(self, sample: SegDataSample) -> None:
        """Account for one image.

        Args:
            sample: A prediction with its ``gt_sem_seg``, or ``gt_raters`` and maybe their weights.

        Raises:
            ValueError: It has no labels, they do not fit it, or see :func:`log_probabilities`.
        """
        log_probs = log_probabilities(sample)
        raters, weights = read_truth(sample, log_probs)
        valid = (raters != self.ignore_index).all(dim=0)
        if not valid.any():
            self.left_out += 1
            return
        raw = log_probs
        if self.temperature != 1:
            log_probs = apply_temperature(log_probs, self.temperature)
        model, samples = (
            sample.get(key).data if key in sample else None for key in ('uncertainty', 'samples')
        )
        maps = uncertainty_maps(log_probs, model=model, samples=samples)
        predicted = sample.pred_sem_seg.data[0].long()
        self._add_pixels(log_probs, predicted, raters, weights, valid, maps)

        image = _Image(
            probs=log_probs.exp().cpu().numpy(),
            predicted=predicted.cpu().numpy(),
            raters=raters.cpu().numpy(),
            weights=weights,
            valid=valid.cpu().numpy(),
            samples=None if samples is None else samples.cpu().numpy(),
        )
        numbers = image.numbers(foreground(len(self.classes)))
        for name, map_ in maps.items():
            ways = map_to_numbers(map_.cpu().numpy(), image.predicted, image.valid)
            numbers |= {f'doubt/{name}/{way}': number for way, number in ways.items()}
        kept = {key: sample.get(key).cpu() for key in PICTURED if key in sample}
        if self.guarantee:
            # a guarantee is about the model as it is, at no temperature
            admitted = apply_guarantee(raw.exp().cpu().numpy(), self.guarantee, image.samples)
            promise = image.promise(admitted, self.guarantee['risk'], self.ignore_index)
            new = picture_code(sample.get('img_path') or '') not in self._calibrated_on
            numbers |= {name: number if new else math.nan for name, number in promise.items()}
            kept |= _as_data(admitted)
        self.names.append(Path(sample.get('img_path') or '').name)
        self._numbers.append(numbers)
        self._show(SegDataSample(metainfo=sample.metainfo, **kept), numbers)

    def _add_pixels(
        self,
        log_probs: Tensor,
        predicted: Tensor,
        raters: Tensor,
        weights: NDArray,
        valid: Tensor,
        maps: Mapping[str, Tensor],
    ) -> None:
        block = len(self.names) % BLOCKS
        maps = {name: map_[valid] for name, map_ in maps.items()}
        for labels, weight in zip(raters, weights, strict=True):
            sums = sum_pixels(log_probs[:, valid], predicted[valid], labels[valid].long(), maps)
            for name, value in sums.items():
                if name not in self._pixels:
                    self._pixels[name] = np.zeros((BLOCKS, *value.shape))
                self._pixels[name][block] += weight * value

    def _show(self, sample: SegDataSample, numbers: dict[str, float]) -> None:
        doubt = next(numbers[f'doubt/{name}'] for name in DECIDES if f'doubt/{name}' in numbers)
        for shown, order in ((self.surest, doubt), (self.least_sure, -doubt)):
            shown.append((order, len(self.names), sample))
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


@dataclass(frozen=True)
class _Image:
    """What is known of one image, in numpy: K classes, R raters, S samples."""

    probs: NDArray  # (K, H, W)
    predicted: NDArray  # (H, W)
    raters: NDArray  # (R, H, W)
    weights: NDArray  # (R,)
    valid: NDArray  # (H, W)
    samples: NDArray | None  # (S, H, W)

    def numbers(self, classes: Sequence[int]) -> dict[str, float]:
        """How wrong the image is, how wrong its areas are, and how much its samples disagree."""
        predicted, raters = self.predicted[self.valid], self.raters[:, self.valid]
        several = self.samples is not None and len(self.samples) > 1
        samples = self.samples[:, self.valid] if several else None
        dice = [mean_dice(predicted, labels, classes) for labels in raters]
        numbers = dict(
            risk=float(1 - np.average(dice, weights=self.weights)),
            **area_numbers(
                predicted,
                raters,
                self.weights,
                probs=self.probs[:, self.valid],
                samples=samples,
                classes=classes,
            ),
        )
        if several:
            numbers['doubt/samples'] = pairwise_disagreement(samples, classes)
        return numbers

    def promise(self, admitted: Admitted, risk: str, ignore_index: int) -> dict[str, float]:
        """Risk and size of what a guarantee admits."""
        risks = [
            measured_risk(admitted, labels, risk, ignore_index=ignore_index)
            for labels in self.raters
        ]
        if isinstance(admitted, tuple):
            masks = dict(zip(('inner', 'outer'), admitted, strict=True))
            sizes = {name: mask.mean() for name, mask in masks.items() if mask is not None}
        else:
            sizes = dict(classes=admitted.sum(axis=0).mean())
        return {
            'promise/risk': float(np.average(risks, weights=self.weights)),
            **{f'promise/{name}': float(size) for name, size in sizes.items()},
        }


def _as_data(admitted: Admitted) -> dict[str, PixelData]:
    """Masks as fields of a sample; sets only by their size."""
    if isinstance(admitted, tuple):
        masks = dict(zip(('inner', 'outer'), admitted, strict=True))
    else:
        masks = dict(set_size=admitted.sum(axis=0))
    return {
        name: PixelData(data=torch.from_numpy(mask)[None])
        for name, mask in masks.items()
        if mask is not None
    }


def read_truth(sample: SegDataSample, log_probs: Tensor) -> tuple[Tensor, NDArray]:
    """The different labels of an image, (R, H, W), and their weights (R,) of sum 1.

    Raises:
        ValueError: There are none, or they do not fit the prediction.
    """
    name = sample.get('img_path') or 'an image'
    if 'gt_raters' in sample:
        raters = sample.gt_raters.data
        weights = np.asarray(sample.get('rater_weights', np.full(len(raters), 1 / len(raters))))
        maps, weights, _ = merge_equal_maps(raters.cpu().numpy(), weights)
        raters = torch.from_numpy(maps).to(raters.device)
    elif 'gt_sem_seg' in sample:
        raters, weights = sample.gt_sem_seg.data[:1], np.ones(1)
    else:
        raise ValueError(
            f'{name} has no labels, and without them nothing can be measured: take a data set with '
            'labels, or put LoadAnnotations into its test pipeline'
        )
    if raters.shape[1:] != log_probs.shape[1:]:
        (h, w), (height, width) = raters.shape[1:], log_probs.shape[1:]
        raise ValueError(
            f'{name}: the labels are {w}x{h} and the prediction {width}x{height}: load the labels '
            'after the resize of the image'
        )
    return raters, weights


def reservoir_of(
    samples: Iterable[SegDataSample], num_classes: int, *, ignore_index: int = 255
) -> PixelReservoir:
    """Pixels of predictions with labels, to fit a temperature to; arguments as of an account."""
    reservoir = PixelReservoir(num_classes)
    for sample in samples:
        log_probs = log_probabilities(sample)
        raters, _ = read_truth(sample, log_probs)
        for labels in raters:
            valid = labels != ignore_index
            reservoir.add(
                sample.get('img_path') or '',
                log_probs[:, valid].cpu().numpy(),
                labels[valid].long().cpu().numpy(),
            )
    return reservoir
