"""Queries and their prompts, as the model takes them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmseg.utils import stack_batch
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class InContextPreprocessor(BaseDataPreprocessor):
    """Stacks queries and prompts, padded at the right and the bottom to one square size.

    Pictures come as mmcv reads them, BGR in [0, 255], and leave as RGB in [-1, 1]; the padding is
    grey. What is to be ignored in a prompt's mask counts as background.

    Args:
        size: Pixels S along an axis; no picture may be larger.
    """

    def __init__(self, *, size: int = 256) -> None:
        super().__init__()
        self.size = size

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stack a batch.

        Args:
            data: As ``pseudo_collate`` leaves it: ``inputs`` with ``query``, B pictures (3, h, w)
                uint8, and, unless prompts were encoded before, ``prompts`` and ``prompt_masks``,
                for each of k prompts B pictures (3, h, w) and masks (h, w) of 0, 1 and 255
                (ignored); and ``data_samples``, whose labels are padded with 255 in training.
            training: Whether the batch is to be trained on.

        Returns:
            ``inputs`` with ``query`` (B, 3, S, S), ``prompts`` (B, k, 3, S, S) and
            ``prompt_masks`` (B, k, S, S) of 0 and 1; and ``data_samples``.

        Raises:
            ValueError: A picture is too large, or a mask is not that of its prompt.
        """
        data = self.cast_data(data)
        inputs, samples = data['inputs'], data.get('data_samples')
        query = [self._to_unit_range(image) for image in inputs['query']]
        size = (self.size, self.size)
        if training:
            query, samples = stack_batch(query, samples, size=size, pad_val=0, seg_pad_val=255)
        else:
            query, paddings = stack_batch(query, size=size, pad_val=0)
            for sample, padding in zip(samples or [], paddings, strict=bool(samples)):
                sample.set_metainfo(padding)
        inputs = dict(inputs, query=query)
        if 'prompts' in inputs:
            inputs['prompts'], inputs['prompt_masks'] = self._stack_prompts(
                inputs['prompts'], inputs['prompt_masks']
            )
        return dict(inputs=inputs, data_samples=samples)

    def _stack_prompts(
        self, images: Sequence[Sequence[Tensor]], masks: Sequence[Sequence[Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Stack k lists of B prompts to (B, k, 3, S, S) and (B, k, S, S)."""
        for image, mask in zip(sum(map(list, images), []), sum(map(list, masks), []), strict=True):
            if image.shape[1:] != mask.shape:
                raise ValueError(
                    f'a prompt of {tuple(image.shape[1:])} pixels has a mask of '
                    f'{tuple(mask.shape)}: give the mask of that very picture'
                )
            known = (mask == 0) | (mask == 1) | (mask == 255)
            if not known.all():
                raise ValueError(
                    'the mask of a prompt must hold 0, 1 and 255 (ignored), got '
                    f'{mask[~known].unique().tolist()[:5]}: choose one class first'
                )
        pictures = [[self._pad(self._to_unit_range(image)) for image in row] for row in images]
        areas = [[self._pad((mask == 1).float()) for mask in row] for row in masks]
        stack = [
            torch.stack([torch.stack(row) for row in rows], dim=1) for rows in (pictures, areas)
        ]
        return stack[0], stack[1]

    def _to_unit_range(self, image: Tensor) -> Tensor:
        """BGR (3, h, w) in [0, 255] to RGB in [-1, 1]."""
        if max(image.shape[1:]) > self.size:
            raise ValueError(
                f'a picture of {tuple(image.shape[1:])} pixels does not fit into {self.size} x '
                f"{self.size}: resize it in the pipeline, or set 'data_preprocessor.size'"
            )
        return (image.flip(0).float() - 127.5) / 127.5

    def _pad(self, image: Tensor) -> Tensor:
        """Pad (..., h, w) with zeros to (..., S, S)."""
        h, w = image.shape[-2:]
        return F.pad(image, (0, self.size - w, 0, self.size - h))
