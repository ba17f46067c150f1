"""Ask for things in an image by sentences."""

import os
import textwrap
from collections.abc import Sequence

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from mmdiffseg.models.referring.ref_diff import Referral
from mmdiffseg.registry import MODELS
from mmdiffseg.visualization import heat_overlay, label_overlay, panel

ANSWER, OTHER = (230, 57, 70), (69, 123, 157)


class ReferringInferencer:
    """Ref-Diff, from a config to masks and pictures.

    Args:
        config: Config, or its file. Its model names the weights of its parts.
        device: Where to run; a GPU where there is one, by default.
    """

    def __init__(self, config: str | os.PathLike | Config, *, device: str | None = None) -> None:
        config = config if isinstance(config, Config) else Config.fromfile(config)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
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
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if isinstance(image, np.ndarray):
            return self.model.segment(image, texts)
        return self.model.segment(read_rgb(image), texts, name=os.path.basename(image))


def read_rgb(path: str | os.PathLike) -> NDArray:
    """Read an image (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is no image.
    """
    image = mmcv.imread(path, channel_order='rgb')
    if image is None:
        raise ValueError(f'{path} is no image that can be read')
    return image


def draw_referral(image: NDArray, referral: Referral, *, proposals: int = 3) -> NDArray:
    """Draw an answer: the mask, the heat map, and the best proposals with their scores.

    Args:
        image: (H, W, 3) uint8 RGB.
        referral: The answer to a sentence about it.
        proposals: How many to show at most.

    Returns:
        The page, uint8 RGB.
    """

    def tinted(mask: torch.Tensor, colour: tuple[int, int, int]) -> NDArray:
        return label_overlay(image, np.where(mask.numpy(), 0, 255), [colour])

    pictures = {
        'image': image,
        textwrap.shorten(referral.text, 34): tinted(referral.mask, ANSWER),
    }
    if referral.heat is not None:
        pictures[f'attention of "{referral.root.word}"'] = heat_overlay(
            image, referral.heat.numpy()
        )
    kept = referral.keep.nonzero().flatten().tolist()
    best = sorted(kept, key=lambda i: referral.total[i].item(), reverse=True)[:proposals]
    for rank, i in enumerate(best, start=1):
        scores = ' '.join(f'{view} {score[i]:.2f}' for view, score in referral.scores.items())
        colour = ANSWER if i == referral.index else OTHER
        pictures[f'{rank}: {scores}'] = tinted(referral.proposals[i], colour)
    return panel(pictures)
