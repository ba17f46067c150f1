"""Ask for things in an image by sentences."""

import os
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from mmdiffseg.engine.command_line import as_config
from mmdiffseg.models.referring.ref_diff import RefDiff, Referral
from mmdiffseg.registry import MODELS


class ReferringInferencer:
    """Ref-Diff, from a config to masks.

    Example:
        >>> inferencer = ReferringInferencer('configs/_base_/models/ref_diff_tiny.py')
        >>> for referral in inferencer('shapes.png', ['the red circle', 'the blue square']):
        ...     print(referral.text, referral.mask.sum(), referral.notes)

    Args:
        config: Config, or its file. Its model names the weights of its parts.
        device: Where to run; by default a GPU if there is one.

    Raises:
        ValueError: The config is of another model.
    """

    def __init__(self, config: str | os.PathLike | Config, *, device: str | None = None) -> None:
        config = as_config(config)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        kind = config.get('model', {}).get('type', 'nothing')
        if not issubclass(MODELS.get(kind) or object, RefDiff):
            raise ValueError(f'{kind} is not a referring model: give a config of Ref-Diff')
        self.model = MODELS.build(config.model).to(device)

    def __call__(
        self, image: str | os.PathLike | NDArray, texts: str | Sequence[str]
    ) -> list[Referral]:
        """Find what sentences mean.

        Args:
            image: File, or (H, W, 3) uint8 RGB.
            texts: One sentence or several.

        Returns:
            For each sentence its mask, heat map, proposals and their scores.

        Raises:
            ValueError: The image or a sentence cannot be read; see :meth:`refusal`.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if isinstance(image, np.ndarray):
            return self.model.segment(image, texts)
        return self.model.segment(read_rgb(image), texts, name=os.path.basename(image))

    def refusal(self, text: str) -> str | None:
        """Say why a sentence cannot be answered; None if it can."""
        try:
            self.model.read(text)
        except ValueError as error:
            return str(error)
        return None


def read_rgb(path: str | os.PathLike) -> NDArray:
    """Read an image (H, W, 3) uint8 RGB.

    Raises:
        OSError: The file does not exist or cannot be read.
        ValueError: The file is no picture.
    """
    content = Path(path).read_bytes()
    # of an empty file OpenCV raises an error of its own
    image = mmcv.imfrombytes(content) if content else None
    if image is None:
        raise ValueError(f'{path} is not a picture that can be read, such as a PNG or JPEG file')
    return np.ascontiguousarray(image[..., ::-1])
