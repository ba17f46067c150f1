"""Asking Ref LDM-Seg, which takes examples beside a picture: other pictures and their masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.apis.classes import colours
from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.pictures import Picture, find_sources
from mmdiffseg.models.in_context import EncodedPrompts, InContextSegmentor

#: a picture and its mask, 0 off the concept
Example = tuple[Any, Any]


class InContextTask:
    """Finds in pictures what examples show; label 1 is the first concept.

    Args:
        model: The model.
    """

    asks = 'examples'

    def __init__(self, model: InContextSegmentor) -> None:
        self.model = model
        self.size = model.data_preprocessor.size

    def question(
        self, *, text: Any, examples: Sequence[Example] | Mapping[str, Sequence[Example]] | None
    ) -> dict[str, EncodedPrompts]:
        """Encode the examples of each concept.

        Args:
            text: Must be None.
            examples: Pictures with their masks; for several concepts, those of each by its name.

        Raises:
            ValueError: There are no examples, one cannot be used, or something else was given.
        """
        if text is not None:
            raise ValueError('Ref LDM-Seg takes no text: show by examples= what to look for')
        if not examples:
            raise ValueError('show what to look for, such as examples=[(picture, mask)]')
        if not isinstance(examples, Mapping):
            examples = {'object': examples}
        return {name: self.encode(*_pairs(pairs)) for name, pairs in examples.items()}

    @torch.no_grad()
    def encode(self, pictures: Sequence[Picture], masks: Sequence[NDArray]) -> EncodedPrompts:
        """Encode the prompts of one concept, once for any number of queries.

        Args:
            pictures: The pictures.
            masks: Their masks (H, W): 0 off the concept.

        Raises:
            ValueError: There is none, or a mask is empty or of another size than its picture.
        """
        if not pictures or len(pictures) != len(masks):
            raise ValueError(
                f'a concept needs prompts, each a picture and its mask, got {len(pictures)} '
                f'pictures and {len(masks)} masks'
            )
        prompts, areas = [], []
        for picture, mask in zip(pictures, masks, strict=True):
            (height, width), area = picture.pixels.shape[:2], mask != 0
            if (height, width) != area.shape:
                raise ValueError(
                    f'the prompt {picture.name} is {width}x{height} and its mask '
                    f'{area.shape[1]}x{area.shape[0]}: give the mask of this picture'
                )
            if not area.any():
                raise ValueError(f'the mask of the prompt {picture.name} is empty')
            prompts.append([self._resized(picture)])  # a batch of one
            scale = (self.size, self.size)
            area = mmcv.imrescale(area.astype(np.uint8), scale, interpolation='nearest')
            areas.append([torch.from_numpy(area)])
        # the preprocessor wants a query, which does not matter here
        inputs = dict(query=prompts[0], prompts=prompts, prompt_masks=areas)
        inputs = self.model.data_preprocessor(dict(inputs=inputs))['inputs']
        return self.model.encode_prompts(inputs['prompts'], inputs['prompt_masks'])

    def prepare(self, picture: Picture) -> dict:
        """Shrink a picture to the size of the model."""
        query = self._resized(picture)
        meta = dict(
            img_path=picture.name, ori_shape=picture.pixels.shape[:2], img_shape=query.shape[1:]
        )
        return dict(query=query, sample=SegDataSample(metainfo=meta))

    def predict(
        self, items: Sequence[dict], question: Mapping[str, EncodedPrompts]
    ) -> list[dict[str, Any]]:
        """Answer for prepared pictures, under the names of :class:`Result`."""
        classes = ('background', *question)
        return [
            dict(
                labels=sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8),
                probability=sample.seg_logits.data.softmax(dim=0).float().cpu().numpy(),
                classes=classes,
                palette=colours(classes),
            )
            for sample in self.find(items, list(question.values()))
        ]

    @torch.no_grad()
    def find(self, items: Sequence[dict], concepts: Sequence[EncodedPrompts]) -> list:
        """Find concepts in prepared pictures.

        Returns:
            For each picture a sample with ``pred_sem_seg`` and ``seg_logits``.
        """
        data = dict(
            inputs=dict(query=[item['query'] for item in items]),
            data_samples=[item['sample'] for item in items],
        )
        data = self.model.data_preprocessor(data)
        if len(concepts) == 1:
            return self.model.predict(**data, prompts=concepts[0])
        return self.model.predict_concepts(**data, concepts=concepts)

    def _resized(self, picture: Picture) -> torch.Tensor:
        """A picture as (3, h, w) BGR whose longer side is that of the model."""
        small = mmcv.imrescale(picture.pixels[..., ::-1], (self.size, self.size))
        return torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)


def _pairs(examples: Sequence[Example]) -> tuple[list[Picture], list[NDArray]]:
    pictures, masks = [], []
    for number, example in enumerate(examples):
        if not isinstance(example, tuple | list) or len(example) != 2:
            raise ValueError(f'example {number} must be a pair (picture, mask), got {example!r}')
        (source,) = find_sources(example[0])
        pictures.append(source.read())
        masks.append(read_mask(example[1]))
    return pictures, masks
