"""Find in new pictures what a few pictures with masks show."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.pictures import Picture, check_pixels, read_pixels
from mmdiffseg.apis.tasks import InContextTask
from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine.command_line import as_config
from mmdiffseg.models.in_context import EncodedPrompts, InContextSegmentor
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS

Source = str | os.PathLike | NDArray
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
        config = as_config(config)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        kind = config.get('model', {}).get('type', 'nothing')
        if not issubclass(MODELS.get(kind) or object, InContextSegmentor):
            raise ValueError(f'{kind} is not an in-context model: give a config of Ref LDM-Seg')
        self.model = MODELS.build(config.model)
        if checkpoint is None:
            warnings.warn(
                'the model is not trained, so its masks mean nothing: give a checkpoint',
                stacklevel=2,
            )
        else:
            weights = load_checkpoint_file(checkpoint)['state_dict']
            load_exactly(self.model, weights, source=str(checkpoint))
        self.model.to(device).eval()
        self.task = InContextTask(self.model)

    def encode(self, images: Sequence[Source], masks: Sequence[Source]) -> EncodedPrompts:
        """Encode the prompts of one concept, once for any number of queries.

        Args:
            images: Files, or pictures (H, W, 3) uint8 RGB.
            masks: Their masks, files or whole numbers (H, W): 0 off the concept.

        Raises:
            ValueError: There is no prompt, a picture or mask cannot be used, or a mask is empty or
                not of the size of its picture.
        """
        pictures = [_read(image) for image in _listed(images)]
        return self.task.encode(pictures, [read_mask(mask) for mask in _listed(masks)])

    def __call__(
        self,
        images: Sequence[Source],
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
        images, samples = _listed(images), []
        for first in range(0, len(images), batch_size):
            part = images[first : first + batch_size]
            items = [self.task.prepare(_read(image)) for image in part]
            samples += self.task.find(items, list(concepts.values()))
        return samples

    def video(
        self, frames: str | os.PathLike, first_mask: Source, *, batch_size: int = 8
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


def video_frames(folder: str | os.PathLike) -> list[Path]:
    """List the frames of a video, in the order of their names.

    Raises:
        ValueError: The folder holds less than two pictures.
    """
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise ValueError(f'{folder} holds {len(paths)} pictures, a video has 2 or more')
    return paths


def _read(image: Source) -> Picture:
    if isinstance(image, np.ndarray) and image.ndim != 3:
        raise ValueError(f'a picture must be (H, W, 3) uint8 RGB, got {image.dtype} {image.shape}')
    pixels = check_pixels(image) if isinstance(image, np.ndarray) else read_pixels(image)
    return Picture(pixels=pixels, name=_name(image))


def _name(image: Source) -> str:
    return 'picture' if isinstance(image, np.ndarray) else str(image)


def _listed(pictures: Sequence[Source]) -> list[Source]:
    if isinstance(pictures, (str, os.PathLike, np.ndarray)):
        raise ValueError('pictures and masks come in lists: put a single one in brackets')
    return list(pictures)
