"""Find in new pictures what a few pictures with masks show."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.models.in_context import EncodedPrompts, InContextSegmentor
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS

Picture = str | os.PathLike | NDArray
SUFFIXES = ('.jpg', '.jpeg', '.png')


class InContextInferencer:
    """Ref LDM-Seg, from a config and a checkpoint to masks.

    Args:
        config: Config of the model, or its file.
        checkpoint: File of the trained weights; without one the masks mean nothing.
        device: Where to run; by default a GPU if there is one.

    Raises:
        ValueError: The config is of another model, or the checkpoint does not fit it.

    Example:
        >>> inferencer = InContextInferencer(config, checkpoint)
        >>> cat = inferencer.encode(['a.jpg', 'b.jpg'], ['a.png', 'b.png'])
        >>> samples = inferencer(['c.jpg', 'd.jpg'], dict(cat=cat))
        >>> mask = samples[0].pred_sem_seg.data[0]  # (H, W), 1 on the cat of c.jpg
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
        if not isinstance(self.model, InContextSegmentor):
            raise ValueError(
                f'{config.model.type} is not an in-context model: give a config of Ref LDM-Seg'
            )
        if checkpoint is None:
            warnings.warn(
                'the model is not trained, so its masks mean nothing: give a checkpoint',
                stacklevel=2,
            )
        else:
            weights = load_checkpoint_file(checkpoint)['state_dict']
            load_exactly(self.model, weights, source=str(checkpoint))
        self.model.to(device).eval()
        self.size = config.model.data_preprocessor.size

    @torch.no_grad()
    def encode(self, images: Sequence[Picture], masks: Sequence[Picture]) -> EncodedPrompts:
        """Encode the prompts of one concept, once for any number of queries.

        Args:
            images: Files, or pictures (H, W, 3) uint8 RGB.
            masks: Their masks, files or whole numbers (H, W): 0 off the concept.

        Raises:
            ValueError: There is no prompt, a picture or mask cannot be used, or a mask is empty or
                not of the size of its picture.
        """
        images, masks = _listed(images), _listed(masks)
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
                    f'mask {area.shape[1]}x{area.shape[0]}: give the mask of this picture'
                )
            if not area.any():
                raise ValueError(f'the mask of the prompt {_name(image)} is empty')
            pictures.append([self._resized(picture)])  # a batch of one
            area = area.astype(np.uint8)
            scale = (self.size, self.size)
            areas.append([torch.from_numpy(mmcv.imrescale(area, scale, interpolation='nearest'))])
        # the preprocessor wants a query, which does not matter here
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
            For each picture ``pred_sem_seg`` (1, H, W), 0 or the number of a concept, counted from
            1, and ``seg_logits`` (C + 1, H, W).

        Raises:
            ValueError: There is no concept, a picture cannot be used, or ``batch_size`` is below 1.
        """
        if not concepts:
            raise ValueError('nothing to look for: encode at least one concept')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        images = _listed(images)
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
        """Find in later frames what the mask of the first shows, in each frame on its own.

        Args:
            frames: Folder of the frames, in the order of their names.
            first_mask: Labels (H, W) of the first frame: 0, and a number for each object or class.
            batch_size: Frames at once.

        Yields:
            Every later frame and its sample, with the labels of ``first_mask``.

        Raises:
            ValueError: The folder holds less than two pictures, or the first mask is empty.
        """
        paths = video_frames(frames)
        labels = read_mask(first_mask)
        numbers = [number for number in np.unique(labels).tolist() if number]
        if not numbers:
            raise ValueError(f'the mask of the first frame, {_name(first_mask)}, is empty')
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


def video_frames(folder: str | os.PathLike) -> list[Path]:
    """List the frames of a video, in the order of their names.

    Raises:
        ValueError: The folder holds less than two pictures.
    """
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise ValueError(f'{folder} holds {len(paths)} pictures, a video has 2 or more')
    return paths


def read_mask(mask: Picture) -> NDArray:
    """Read labels (H, W) of whole numbers from 0; a palette PNG gives its indices.

    Raises:
        ValueError: These are no labels but colours, fractions or negative numbers.
    """
    if not isinstance(mask, np.ndarray):
        with Image.open(mask) as image:
            if image.mode not in ('1', 'L', 'P', 'I', 'I;16'):
                raise ValueError(
                    f'{mask} is a picture in colours ({image.mode}): a mask has one channel, which '
                    'is 0 off the concept'
                )
            mask = np.array(image)
    if mask.ndim != 2 or mask.dtype.kind not in 'bui' or mask.min(initial=0) < 0:
        raise ValueError(
            f'a mask must be (H, W) of whole numbers from 0, got {mask.dtype} {mask.shape} from '
            f'{mask.min(initial=0)}'
        )
    return mask.astype(np.uint8) if mask.dtype == bool else mask


def _read(image: Picture) -> NDArray:
    """A picture (H, W, 3) uint8 BGR."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'a picture must be (H, W, 3) uint8 RGB, got {image.dtype} {image.shape}'
            )
        return np.ascontiguousarray(image[..., ::-1])
    try:
        picture = mmcv.imread(image)
    except cv2.error:  # an empty file
        picture = None
    if picture is None:
        raise ValueError(f'{image} cannot be read as a picture')
    return picture


def _name(image: Picture) -> str:
    return 'picture' if isinstance(image, np.ndarray) else str(image)


def _listed(pictures: Sequence[Picture]) -> list[Picture]:
    if isinstance(pictures, (str, os.PathLike, np.ndarray)):
        raise ValueError('pictures and masks come in lists: put a single one in brackets')
    return list(pictures)
