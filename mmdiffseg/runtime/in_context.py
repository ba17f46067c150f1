"""Exported Ref LDM-Seg, which takes examples beside a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.apis.examples import Example, prompt_areas, read_examples
from mmdiffseg.apis.palette import colours
from mmdiffseg.apis.pictures import Picture
from mmdiffseg.runtime.draws import Draws
from mmdiffseg.runtime.maps import resize_mask, resize_picture
from mmdiffseg.runtime.readouts import Readout
from mmdiffseg.runtime.segmenter import ExportedSegmenter

#: what the network attends to, by the names of its inputs
Prompts = dict[str, np.ndarray]


class ExportedInContext(ExportedSegmenter):
    """An exported Ref LDM-Seg; see :class:`ExportedSegmenter`.

    Attributes:
        asks: What a call needs beside a picture.

    Example:
        >>> model = mmdiffseg.runtime.load('ref_ldm_seg_onnx')
        >>> model('b.jpg', examples=[('a.jpg', 'mask_of_a.png')]).classes
        ('background', 'object')
    """

    asks = 'examples'

    def question(
        self, *, text: Any, examples: Sequence[Example] | Mapping[str, Sequence[Example]] | None
    ) -> dict[str, Prompts]:
        """Encode the examples of each concept, see :meth:`InContextTask.question`.

        Raises:
            ValueError: There are no examples, one cannot be used, or something else was given.
        """
        if text is not None:
            raise ValueError('Ref LDM-Seg takes no text: show by examples= what to look for')
        return {name: self._encode(*pairs) for name, pairs in read_examples(examples).items()}

    def _encode(self, pictures: Sequence[Picture], masks: Sequence[NDArray]) -> Prompts:
        size, encoded = self.loop['pictures']['pad_size'], []
        for picture, area in zip(pictures, prompt_areas(pictures, masks), strict=True):
            pixels = resize_picture(picture.pixels, **self.loop['pictures']['resize'])
            shown = self._padded(self._normalised(pixels)).astype(np.float32)
            area = resize_mask(area, pixels.shape[:2]).astype(np.float32)
            padding = [(0, n - m) for n, m in zip(size, area.shape, strict=True)]
            area = np.pad(area, padding)[None]
            encoded.append(self.graphs['prompt'](dict(prompt=shown, prompt_mask=area)))
        return {name: np.concatenate([one[name] for one in encoded], axis=1) for name in encoded[0]}

    def predict(
        self, picture: Picture, *, question: dict[str, Prompts], steps: int = 1, **asked: Any
    ) -> dict[str, Any]:
        """What is known of a picture; see :meth:`ExportedSegmenter.predict`."""
        classes = ('background', *question)
        answer = super().predict(picture, question=question, steps=steps, generations=1, **asked)
        return dict(answer, classes=classes, palette=colours(classes))

    def _read(
        self, image: np.ndarray, readout: Readout, *, question: dict[str, Prompts], **asked: Any
    ) -> np.ndarray:
        """Logits (C + 1, S, S) of the background and the concepts, each found on its own."""
        image = image.astype(np.float32)
        context = self.graphs['encoder'](dict(image=image))
        found = [
            self._logits(image, {**context, **prompts}, **asked) for prompts in question.values()
        ]
        if len(found) == 1:
            return found[0]
        return np.stack([np.zeros_like(found[0][0]), *(logits[1] - logits[0] for logits in found)])

    def _logits(
        self,
        image: np.ndarray,
        context: dict[str, np.ndarray],
        *,
        kept: Sequence[int],
        name: str,
        steps: int,
        generations: int,
        seed: int,
        given: Mapping[str, np.ndarray] | None,
    ) -> np.ndarray:
        """Logits (2, S, S) of the background and one concept."""
        height, width = image.shape[2:]
        draws = Draws([f'{name}/None/{height}x{width}'], seed=seed, given=given)
        latent = self._latent(context, self._rows(steps), draws)
        return self.graphs['decoder'](dict(latent=latent, image=image))['logits'][0]

    def _latent(
        self, context: dict[str, np.ndarray], rows: Sequence[dict], draws: Draws
    ) -> np.ndarray:
        """The latent (1, C, h, w) of a mask."""
        call, shape = self._call(context), context['mean'].shape[1:]
        if self.loop['starts'] == 'noise':
            start = draws.draw('normal', 'start', shape)
        else:
            start = context['mean']
            if 'deviation' in context:
                start = start + context['deviation'] * draws.draw('normal', 'query', shape)
        seen = [start]
        *calls, end = rows
        for index, row in enumerate(calls):
            t = np.array([row['t']], np.int64 if self.loop['integer_times'] else np.float32)
            seen.append(call(dict(z_t=_mix(row['z'], seen), t=t))['output'])
            noise = draws.draw('normal', f'step{index}', shape) if row['noise'] else 0.0
            seen.append(noise)
        return _mix(end['z'], seen)


def _mix(weights: Sequence[float], maps: Sequence[np.ndarray | float]) -> np.ndarray:
    """Weighted sum of maps."""
    return sum(w * m for w, m in zip(weights, maps, strict=False) if w).astype(np.float32)
