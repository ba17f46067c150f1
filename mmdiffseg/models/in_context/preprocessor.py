"""Batches of queries and their prompts, in the range and size that the model takes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmseg.utils import stack_batch
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class InContextPreprocessor(BaseDataPreprocessor):
    """Stacks queries and prompts, padded on the right and at the bottom to one square size.

    Pictures come as mmcv reads them, BGR in [0, 255], and leave as RGB in [-1, 1]. The padding is
    grey. Ignored pixels of a prompt's mask count as background.

    Args:
        size: Side S of the square in pixels; no picture may be larger.
    """

    def __init__(self, *, size: int = 256) -> None:
        super().__init__()
        self.size = size

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stack a batch.

        Args:
            data: Output of ``pseudo_collate``. Its ``inputs`` hold ``query``, B pictures (3, h, w)
                uint8, and unless the prompts are encoded already ``prompts`` and ``prompt_masks``:
                for each of k prompts B pictures (3, h, w) and B masks (h, w) of 0, 1 and 255
                (ignored). In training, the labels of its ``data_samples`` are padded with 255.
            training: Whether the batch is for training.

        Returns:
            ``inputs`` with ``query`` (B, 3, S, S), ``prompts`` (B, k, 3, S, S) and
            ``prompt_masks`` (B, k, S, S) of 0 and 1; and ``data_samples``.

        Raises:
            ValueError: A picture is too large, or a mask has other values, or another size than
                its picture.
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
                    f'{tuple(mask.shape)}: give the mask of this picture'
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
