"""The fixed crops of the depth benchmarks."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.registry import TRANSFORMS


def _crop(results: dict, rows: slice, cols: slice) -> dict:
    """Crop `img` and what is loaded of its ground truth; the crop becomes the original."""
    for key in ('img', *results.get('seg_fields', [])):
        results[key] = np.ascontiguousarray(results[key][rows, cols])
    results['window'] = (cols.start, rows.start, cols.stop, rows.stop)
    results['ori_shape'] = results['img_shape'] = results['img'].shape[:2]
    return results


@TRANSFORMS.register_module()
class KBCrop(BaseTransform):
    """Crop images of KITTI to one size as its depth benchmark does: at the bottom, in the middle.

    Args:
        size: Height and width of the crop.
    """

    def __init__(self, *, size: tuple[int, int] = (352, 1216)) -> None:
        self.size = tuple(size)

    def transform(self, results: dict) -> dict:
        """Crop `img` and the loaded depth.

        Raises:
            ValueError: The image is smaller.
        """
        height, width = results['img'].shape[:2]
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(
                f'{results["img_path"]} is {width}x{height}, too small to crop '
                f'{self.size[1]}x{self.size[0]} from it: set size of KBCrop.'
            )
        top, left = height - self.size[0], (width - self.size[1]) // 2
        return _crop(results, slice(top, top + self.size[0]), slice(left, left + self.size[1]))

    def __repr__(self) -> str:
        return f'KBCrop(size={self.size})'


@TRANSFORMS.register_module()
class NYUCrop(BaseTransform):
    """Cut the white frame off images of NYU, 640x480.

    Args:
        rows: First row, and the one after the last.
        cols: First column, and the one after the last.
    """

    def __init__(
        self, *, rows: tuple[int, int] = (45, 472), cols: tuple[int, int] = (43, 608)
    ) -> None:
        self.rows = tuple(rows)
        self.cols = tuple(cols)

    def transform(self, results: dict) -> dict:
        """Crop `img` and the loaded depth.

        Raises:
            ValueError: The image ends before.
        """
        height, width = results['img'].shape[:2]
        if height < self.rows[1] or width < self.cols[1]:
            raise ValueError(
                f'{results["img_path"]} is {width}x{height}, too small to crop rows {self.rows} '
                f'and columns {self.cols} from it: set them of NYUCrop.'
            )
        return _crop(results, slice(*self.rows), slice(*self.cols))

    def __repr__(self) -> str:
        return f'NYUCrop(rows={self.rows}, cols={self.cols})'
