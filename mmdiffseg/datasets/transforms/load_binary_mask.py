"""Loading of binary masks."""

from typing import Literal

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from numpy.typing import NDArray

from mmdiffseg.datasets.pictures import check_same_size, check_upright
from mmdiffseg.registry import TRANSFORMS

Foreground = int | Literal['nonzero']


def read_binary_mask(
    path: str,
    *,
    foreground: Foreground = 1,
    ignore_index: int = 255,
    backend_args: dict | None = None,
) -> NDArray[np.uint8]:
    """Read a mask file of any bit depth.

    Args:
        path: An image of one channel.
        foreground: The value of the foreground, beside which only 0 and ``ignore_index`` may occur;
            or ``'nonzero'``: every value but 0 is foreground, and nothing is ignored.
        ignore_index: Value of the pixels that do not count, in the file and in the result. A file
            with ``foreground`` of this value ignores nothing.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        Mask (H, W) of 0, 1 and ``ignore_index``.

    Raises:
        ValueError: The file is a colour image or holds other values.
    """
    content = fileio.get(path, backend_args=backend_args)
    pixels = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
    if pixels.ndim != 2:
        raise ValueError(
            f'{path} is a colour image of shape {pixels.shape}: a mask must be an image of one '
            'channel.'
        )
    if foreground == 'nonzero':
        return (pixels != 0).astype(np.uint8)
    known = (pixels == 0) | (pixels == foreground)
    ignored = ~known & (pixels == ignore_index)
    if not (known | ignored).all():
        values = np.unique(pixels)
        listed = ', '.join(map(str, values[:8])) + (', ...' if len(values) > 8 else '')
        raise ValueError(
            f'{path} holds {listed}: a mask may hold 0, foreground={foreground} and ignore_index='
            f"{ignore_index}; set the dataset's foreground to the value of the object, or to "
            "'nonzero' if every value but 0 is object."
        )
    return np.where(ignored, ignore_index, pixels == foreground).astype(np.uint8)


@TRANSFORMS.register_module()
class LoadBinaryMask(BaseTransform):
    """Load the mask of a :class:`BinarySegDataset`; goes after LoadImageFromFile.

    What the values mean is said by the dataset. Results without a mask (inference) pass.

    Args:
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, *, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add `gt_seg_map`, (H, W) uint8 of 0, 1 and the ignored value.

        Raises:
            ValueError: The mask is no mask, or differs from its image in size.
        """
        if 'seg_map_path' not in results:
            return results
        mask = read_binary_mask(
            results['seg_map_path'],
            foreground=results['foreground'],
            ignore_index=results['ignore_index'],
            backend_args=self.backend_args,
        )
        check_same_size(results, mask, what=f'its mask {results["seg_map_path"]} is')
        check_upright(results['img_path'], truth=results['seg_map_path'])
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'LoadBinaryMask(backend_args={self.backend_args})'
