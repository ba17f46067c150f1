"""Asking Ref LDM-Seg, which takes examples beside a picture: other pictures and their masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.apis.examples import Example, prompt_areas, read_examples
from mmdiffseg.apis.palette import colours
from mmdiffseg.apis.pictures import Picture
from mmdiffseg.models.in_context import EncodedPrompts, InContextSegmentor


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
        return {name: self.encode(*pairs) for name, pairs in read_examples(examples).items()}

    @torch.no_grad()
    def encode(self, pictures: Sequence[Picture], masks: Sequence[NDArray]) -> EncodedPrompts:
        """Encode the prompts of one concept, once for any number of queries.

        Args:
            pictures: The pictures.
            masks: Their masks (H, W): 0 off the concept.

        Raises:
            ValueError: There is none, or a mask is empty or of another size than its picture.
        """
        prompts, areas = [], []
        for picture, area in zip(pictures, prompt_areas(pictures, masks), strict=True):
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
