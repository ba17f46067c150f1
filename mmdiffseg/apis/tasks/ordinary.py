"""Asking an ordinary model of mmseg or mmdet, which takes pictures and nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor, nn

from mmdiffseg.apis.result import UNLABELLED
from mmdiffseg.apis.segments import read_instances, read_panoptic
from mmdiffseg.apis.tasks.pipeline import preparation_of
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.stochastic import CheckpointEnsemble


class OrdinaryTask:
    """Prepares pictures by the test pipeline, and reads results off the samples.

    Args:
        model: A model of mmseg or mmdet, with its ``dataset_meta``.
        config: Its config.
    """

    asks = None

    def __init__(self, model: nn.Module, config: Config) -> None:
        self.model = model
        self.num_classes = len(model.dataset_meta['classes'])
        self.prepare = preparation_of(config)

    def question(self, *, text: Any, examples: Any) -> None:
        """Take nothing but pictures.

        Raises:
            ValueError: Something else was given.
        """
        name = 'text' if text is not None else 'examples' if examples is not None else None
        if name:
            raise ValueError(f'{type(self.model).__name__} takes no {name}: leave {name} out')

    def predict(self, items: Sequence[dict], question: None) -> list[dict[str, Any]]:
        """Answer for prepared pictures of one size.

        Args:
            items: From ``prepare``.
            question: From :meth:`question`.

        Returns:
            For each picture what is known, under the names of :class:`Result`.
        """
        data = pseudo_collate(list(items))
        return [self.read(sample) for sample in self.model.test_step(data)]

    @torch.no_grad()
    def film(self, item: dict) -> list[dict[str, Any]]:
        """What is known of a prepared picture after each step, under the names of ``Result``."""
        data = self.model.data_preprocessor(pseudo_collate([item]), False)
        frames = self.model.predict_trajectory(data['inputs'], data['data_samples'])
        return [self.read(sample) for (sample,) in frames]

    def read(self, sample: Any) -> dict[str, Any]:
        """Read off a sample what :class:`Result` holds."""
        found = {}
        if 'uncertainty' in sample:
            found['uncertainty'] = _array(sample.uncertainty.data[0])
        if 'samples' in sample:
            found['samples'] = self._labels(sample.samples.data)
        if 'pred_depth_map' in sample:
            return dict(found, depth=_array(sample.pred_depth_map.data[0]))
        if 'map_prob' in sample:
            return dict(found, **_read_layers(sample.map_prob.data))
        if 'seg_logits' in sample:
            found['probability'] = _array(self.probabilities(sample.seg_logits.data))
        if 'pred_panoptic_seg' in sample:
            ids = _array(sample.pred_panoptic_seg.sem_seg[0])
            found['segments'], found['labels'] = read_panoptic(ids, self.num_classes)
        if 'pred_instances' in sample:
            objects = sample.pred_instances
            parts = map(_array, (objects.labels, objects.scores, objects.masks))
            found['segments'], painted = read_instances(*parts, sample.ori_shape)
            found.setdefault('labels', painted)
        if 'pred_sem_seg' in sample:
            pixels = sample.pred_sem_seg
            found['labels'] = self._labels((pixels.data if 'data' in pixels else pixels.sem_seg)[0])
        return found

    def _labels(self, values: Tensor) -> NDArray:
        return _array(values).astype(np.uint8 if self.num_classes <= UNLABELLED else np.uint16)

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities (K, H, W) of the ``seg_logits`` of this model."""
        if len(output) == 1:  # mmseg has taken the sigmoid
            return torch.cat([1 - output, output])
        if isinstance(self.model, CheckpointEnsemble):
            return output
        head = self.model.decode_head
        if isinstance(head, DiffusionHead):
            return head.summary_probabilities(output[None])[0]
        return output.softmax(dim=0)


def _read_layers(probs: Tensor) -> dict[str, Any]:
    """A map of layers (K, h, w) that may overlap: the likeliest of those above 1/2."""
    best, labels = probs.max(dim=0)
    labels = labels.masked_fill(best <= 0.5, UNLABELLED)
    return dict(probability=_array(probs), labels=_array(labels).astype(np.uint8))


def _array(values: Tensor) -> NDArray:
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()
