"""What sets of classified masks mean: classes of pixels, or objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmdiffseg.apis.segments import read_instances, read_panoptic
from mmdiffseg.runtime.chains import Step
from mmdiffseg.runtime.readouts import (
    Chains,
    Classes,
    Readout,
    Resize,
    as_labels,
    softmax,
    with_ends,
)
from mmdiffseg.segment_ids import INSTANCE_OFFSET


class Slots:
    """Gathers the classified masks of all generations, side by side.

    Args:
        every_step: Average the probabilities of all steps of a chain.
    """

    def __init__(self, *, every_step: bool) -> None:
        self.every_step = every_step
        self.chain: list[Step] = []
        self.ends: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, step: Step, *, last: bool) -> None:
        """Look at a step, the last of its chain or not."""
        if self.every_step or last:
            self.chain.append(step)
        if last:
            self.ends.append(_average(self.chain))
            self.chain = []

    def gathered(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Class logits (G Q, K + 1), mask logits (G Q, h, w), and the number G of generations."""
        cls_scores, masks = (np.concatenate(logits) for logits in zip(*self.ends, strict=True))
        flat = (logits.reshape(-1, *logits.shape[2:]) for logits in (cls_scores, masks))
        return *flat, len(masks)


def _average(steps: list[Step]) -> tuple[np.ndarray, np.ndarray]:
    """The logits of the mean probabilities; those of a single step are returned as they are."""
    if len(steps) == 1:
        return steps[0].cls_scores, steps[0].masks
    cls_scores = np.log(np.mean([softmax(step.cls_scores, axis=-1) for step in steps], axis=0))
    probs = np.mean([sigmoid(step.masks) for step in steps], axis=0).clip(1e-6, 1 - 1e-6)
    return cls_scores, np.log(probs / (1 - probs))


class MaskClasses(Classes):
    """The sum over the masks: of every class its probability in a mask, times the mask."""

    def read(self, chains: Chains, resize: Resize) -> np.ndarray:
        """See :meth:`Readout.read`: the masks are resized before their classes come together."""
        tracker, slots = self._tracker(), Slots(every_step=self.options['every_step'])
        for step, last in with_ends(chains):
            if tracker is not None:
                tracker.add(_with_scores(step), last=last)
            slots.add(step, last=last)
        cls_scores, masks, generations = slots.gathered()
        maps = [class_scores(cls_scores, resize(masks)) / generations]
        if tracker is not None:
            maps.append(resize(tracker.map()[None]))
        return np.concatenate(maps)

    def _probability(self, maps: np.ndarray) -> np.ndarray:
        return maps / maps.sum(axis=0).clip(min=1e-6)


def _with_scores(step: Step) -> Step:
    """A step with the scores of all classes as its output, and their probability."""
    scores = np.stack(
        [class_scores(*slots) for slots in zip(step.cls_scores, step.masks, strict=True)]
    )
    total = scores.sum(axis=1, keepdims=True).clip(min=1e-6)
    return replace(step, output=scores, probability=scores / total)


class Objects(Readout):
    """Objects and regions, merged as mmdet does, and what belongs to which class."""

    def read(self, chains: Chains, resize: Resize) -> np.ndarray:
        """See :meth:`Readout.read`: the masks (Q, H, W); their classes are kept."""
        slots = Slots(every_step=self.options['every_step'])
        for step, last in with_ends(chains):
            slots.add(step, last=last)
        self.cls_scores, masks, _ = slots.gathered()
        return resize(masks)

    def fields(self, maps: np.ndarray) -> dict:
        """See :meth:`Readout.fields`."""
        options, found = self.options, {}
        if options['panoptic_on']:
            ids = panoptic_ids(self.cls_scores, maps, options)
            found['segments'], found['labels'] = read_panoptic(ids, options['classes'])
        if options['instance_on']:
            objects = instances(self.cls_scores, maps, options)
            found['segments'], painted = read_instances(*objects, maps.shape[1:])
            found.setdefault('labels', painted)
        if options['semantic_on']:
            classes = class_scores(self.cls_scores, maps).argmax(axis=0)
            found['labels'] = as_labels(classes, options['classes'])
        return found


def class_scores(cls_scores: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Score of every class at every pixel (K, H, W), of class logits (Q, K + 1) and mask logits."""
    probs = softmax(cls_scores, axis=-1)[:, :-1]
    return np.tensordot(probs, sigmoid(masks), axes=(0, 0))


def panoptic_ids(cls_scores: np.ndarray, masks: np.ndarray, options: dict) -> np.ndarray:
    """The number of the segment of each pixel (H, W), by mmdet's rules.

    Args:
        cls_scores: Class logits (Q, K + 1).
        masks: Mask logits (Q, H, W).
        options: What the export says of the fusion head.
    """
    nothing = options['classes']
    probs = softmax(cls_scores, axis=-1)
    labels, scores = probs.argmax(axis=1), probs.max(axis=1)
    kept = (labels != nothing) & (scores > options['object_mask_thr'])
    labels, scores, shares = labels[kept], scores[kept], sigmoid(masks[kept])
    ids = np.full(masks.shape[1:], nothing, dtype=np.int32)
    if not len(labels):
        return ids
    owner = (scores[:, None, None] * shares).argmax(axis=0)
    things = 0
    for number, label in enumerate(labels):
        mine, on = owner == number, shares[number] >= 0.5
        if not (mine.any() and on.any()) or mine.sum() / on.sum() < options['iou_thr']:
            continue
        if options['filter_low_score']:
            mine &= on
        if label < options['things']:
            things += 1
            label = label + things * INSTANCE_OFFSET
        ids[mine] = label
    return ids


def instances(
    cls_scores: np.ndarray, masks: np.ndarray, options: dict
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest pairs of a mask and a class of things: labels, scores and masks (n, H, W)."""
    probs = softmax(cls_scores, axis=-1)[:, :-1]
    best = np.argsort(-probs.ravel(), kind='stable')[: options['max_per_image']]
    slots, labels = np.divmod(best, options['classes'])
    slots, labels = slots[labels < options['things']], labels[labels < options['things']]
    on = masks > 0
    inside = (sigmoid(masks) * on).sum(axis=(1, 2)) / (on.sum(axis=(1, 2)) + np.float32(1e-6))
    return labels, probs[slots, labels] * inside[slots], on[slots]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    return 1 / (1 + np.exp(-logits))
