"""Masks that somebody made, in a folder beside the images."""

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCoarseMask(BaseTransform):
    """Load the mask to refine of an image; goes after ``LoadImageFromFile``.

    Args:
        folder: Folder of PNGs of one channel, labels, which are named like the images.
        foreground: Value of the object, where the files have but one; it becomes 1, and others 0.
    """

    def __init__(self, *, folder: str, foreground: int | None = None) -> None:
        self.folder = folder
        self.foreground = foreground

    def transform(self, results: dict) -> dict:
        """Add ``coarse_seg_map``, (H, W).

        Raises:
            FileNotFoundError: There is no such mask.
            ValueError: It has channels, or another size than the image.
        """
        path = Path(self.folder) / f'{Path(results["img_path"]).stem}.png'
        if not path.is_file():
            raise FileNotFoundError(f'no mask {path}: set folder to where the masks are')
        with Image.open(path) as picture:
            mask = np.asarray(picture)
        if mask.ndim != 2:
            raise ValueError(f'{path} is a picture in colours: a mask has one channel')
        if mask.shape != tuple(results['img'].shape[:2]):
            h, w = results['img'].shape[:2]
            raise ValueError(
                f'{path} is {mask.shape[1]}x{mask.shape[0]}, its image {w}x{h}: give masks of the '
                'size of the images'
            )
        if self.foreground is not None:
            mask = (mask == self.foreground).astype(np.uint8)
        results['coarse_seg_map'] = mask
        results.setdefault('seg_fields', []).append('coarse_seg_map')
        return results

    def __repr__(self) -> str:
        return f'LoadCoarseMask(folder={self.folder!r}, foreground={self.foreground})'
