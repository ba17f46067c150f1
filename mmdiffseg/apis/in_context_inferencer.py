"""Find in new pictures what a few pictures with masks show."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS

Picture = str | os.PathLike | NDArray
SUFFIXES = ('.jpg', '.jpeg', '.png')


class InContextInferencer:
    """Ref LDM-Seg, from a config and a checkpoint to masks.

    ::

        inferencer = InContextInferencer(config, checkpoint)
        cat = inferencer.encode(['a.jpg', 'b.jpg'], ['a.png', 'b.png'])
        samples = inferencer(['c.jpg', 'd.jpg'], dict(cat=cat))

    Args:
        config: Config of the model, or its file.
        checkpoint: What was trained; None for a model that was not.
        device: Where to run; a GPU where there is one, by default.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike | None = None,
        *,
        device: str | None = None,
    ) -> None:
        config = config if isinstance(config, Config) else Config.fromfile(config)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        self.model = MODELS.build(config.model)
        if checkpoint is not None:
            weights = load_checkpoint_file(checkpoint)['state_dict']
            load_exactly(self.model, weights, source=str(checkpoint))
        self.model.to(device).eval()
        self.size = config.model.data_preprocessor.size

    @torch.no_grad()
    def encode(self, images: Sequence[Picture], masks: Sequence[Picture]) -> EncodedPrompts:
        """Encode the prompts of one concept, to be used for any number of queries.

        Args:
            images: Files, or pictures (H, W, 3) uint8 RGB.
            masks: For each its mask: a file or (H, W), not 0 on the concept.

        Raises:
            ValueError: There is no prompt, a mask is not of its picture's size, or is empty.
        """
        if not images or len(images) != len(masks):
            raise ValueError(
                f'a concept needs prompts, each a picture and its mask, got {len(images)} pictures '
                f'and {len(masks)} masks'
            )
        pictures, areas = [], []
        for image, mask in zip(images, masks, strict=True):
            picture, area = _read(image), read_mask(mask) != 0
            if picture.shape[:2] != area.shape:
                raise ValueError(
                    f'the prompt {_name(image)} is {picture.shape[1]}x{picture.shape[0]} and its '
                    f'mask {area.shape[1]}x{area.shape[0]}: give the mask of that very picture'
                )
            if not area.any():
                raise ValueError(f'the mask of the prompt {_name(image)} is empty')
            pictures.append([self._resized(picture)])  # a batch of one
            area = area.astype(np.uint8)
            scale = (self.size, self.size)
            areas.append([torch.from_numpy(mmcv.imrescale(area, scale, interpolation='nearest'))])
        # no query yet: any picture fills its place
        inputs = dict(query=pictures[0], prompts=pictures, prompt_masks=areas)
        inputs = self.model.data_preprocessor(dict(inputs=inputs))['inputs']
        return self.model.encode_prompts(inputs['prompts'], inputs['prompt_masks'])

    @torch.no_grad()
    def __call__(
        self,
        images: Sequence[Picture],
        concepts: Mapping[str, EncodedPrompts],
        *,
        batch_size: int = 8,
    ) -> list[SegDataSample]:
        """Find concepts in pictures.

        Args:
            images: Files, or pictures (H, W, 3) uint8 RGB, of any size.
            concepts: Prompts by name, see :meth:`encode`.
            batch_size: Pictures at once.

        Returns:
            For each picture ``pred_sem_seg`` (1, H, W): 0, or the number of a concept, from 1; and
            ``seg_logits`` (C + 1, H, W).
        """
        if not concepts:
            raise ValueError('nothing to look for: encode at least one concept')
        prompts, samples = list(concepts.values()), []
        for first in range(0, len(images), batch_size):
            data = self._batch(images[first : first + batch_size])
            if len(prompts) == 1:
                samples += self.model.predict(**data, prompts=prompts[0])
            else:
                samples += self.model.predict_concepts(**data, concepts=prompts)
        return samples

    def video(
        self, frames: str | os.PathLike, first_mask: Picture, *, batch_size: int = 8
    ) -> Iterator[tuple[Path, SegDataSample]]:
        """Follow what the mask of the first frame shows; each frame is found for itself.

        Args:
            frames: Folder whose pictures, by name, are the frames.
            first_mask: Labels (H, W) of the first frame: 0, and a number for each object or class.
            batch_size: Frames at once.

        Yields:
            Every later frame and its sample, whose labels are those of ``first_mask``.
        """
        paths = sorted(p for p in Path(frames).iterdir() if p.suffix.lower() in SUFFIXES)
        if len(paths) < 2:
            raise ValueError(f'{frames} holds {len(paths)} pictures, a video has 2 or more')
        labels = read_mask(first_mask)
        numbers = [number for number in np.unique(labels).tolist() if number]
        concepts = {str(n): self.encode(paths[:1], [labels == n]) for n in numbers}
        to_label = torch.tensor([0, *numbers])
        for first in range(1, len(paths), batch_size):
            part = paths[first : first + batch_size]
            for path, sample in zip(part, self(part, concepts), strict=True):
                found = sample.pred_sem_seg.data
                sample.pred_sem_seg.data = to_label.to(found.device)[found]
                yield path, sample

    def _resized(self, picture: NDArray) -> torch.Tensor:
        """A picture (H, W, 3) BGR as (3, h, w) whose longer side is that of the model."""
        small = mmcv.imrescale(picture, (self.size, self.size))
        return torch.from_numpy(small).permute(2, 0, 1)

    def _batch(self, images: Sequence[Picture]) -> dict:
        queries, samples = [], []
        for image in images:
            picture = _read(image)
            queries.append(self._resized(picture))
            meta = dict(
                img_path=_name(image), ori_shape=picture.shape[:2], img_shape=queries[-1].shape[1:]
            )
            samples.append(SegDataSample(metainfo=meta))
        return self.model.data_preprocessor(dict(inputs=dict(query=queries), data_samples=samples))


def read_mask(mask: Picture) -> NDArray:
    """Read labels (H, W); those of a palette PNG are its indices.

    Raises:
        ValueError: The file has colours instead of labels.
    """
    if isinstance(mask, np.ndarray):
        return mask
    with Image.open(mask) as image:
        if image.mode not in ('1', 'L', 'P', 'I', 'I;16'):
            raise ValueError(
                f'{mask} is a picture in colours ({image.mode}): a mask has one channel, 0 where '
                'the concept is not'
            )
        return np.array(image)


def _read(image: Picture) -> NDArray:
    """A picture (H, W, 3) uint8 BGR."""
    if isinstance(image, np.ndarray):
        return np.ascontiguousarray(image[..., ::-1])
    picture = mmcv.imread(image)
    if picture is None:
        raise ValueError(f'{image} is no picture that can be read')
    return picture


def _name(image: Picture) -> str:
    return 'picture' if isinstance(image, np.ndarray) else str(image)
