"""Loading and packing of bird's-eye-view features and maps."""

import io
import zipfile
import zlib

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from numpy.typing import NDArray

from mmdiffseg.registry import TRANSFORMS


def _read(path: str, backend_args: dict | None) -> NDArray | dict[str, NDArray]:
    try:
        content = np.load(io.BytesIO(fileio.get(path, backend_args=backend_args)))
        # arrays of a .npz are read when asked for: here, where damage is noticed
        return content if isinstance(content, np.ndarray) else dict(content)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path} is damaged or not a numpy file: {error}') from error


@TRANSFORMS.register_module()
class LoadBEVFeature(BaseTransform):
    """Load a BEV feature of a :class:`BEVMapDataset` in the place of an image.

    Args:
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, *, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add `img`, (H, W, C) float32, from a .npy file that holds (C, H, W) of any float type.

        Raises:
            ValueError: The file holds something else.
        """
        path = results['img_path']
        feature = _read(path, self.backend_args)
        if not isinstance(feature, np.ndarray) or feature.ndim != 3 or feature.dtype.kind != 'f':
            held = getattr(feature, 'shape', 'several arrays')
            raise ValueError(
                f'{path} holds {held} {getattr(feature, "dtype", "")}: a BEV feature must be one '
                'array (channels, rows, columns) of floats.'
            )
        wrong = np.count_nonzero(~np.isfinite(feature))
        if wrong:
            raise ValueError(
                f'{path} holds nan or inf in {wrong} places: write it again, in float32 if its '
                'values are too large for float16.'
            )
        results['img'] = feature.astype(np.float32).transpose(1, 2, 0)
        results['img_shape'] = results['ori_shape'] = feature.shape[1:]
        return results

    def __repr__(self) -> str:
        return f'LoadBEVFeature(backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class LoadMapMasks(BaseTransform):
    """Load the rasterised map of a sample of a :class:`BEVMapDataset`.

    Results without a map (inference) pass.

    Args:
        num_classes: Number K of layers to expect.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, *, num_classes: int, backend_args: dict | None = None) -> None:
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        self.num_classes = num_classes
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add `gt_map`, (h, w, K) uint8, from a .npz file whose `masks` are (K, h, w), 0 or 1.

        Raises:
            ValueError: The file holds something else.
        """
        if 'seg_map_path' not in results:
            return results
        path = results['seg_map_path']
        arrays = _read(path, self.backend_args)
        if isinstance(arrays, np.ndarray) or 'masks' not in arrays:
            raise ValueError(
                f"{path} holds no array 'masks': write a map by "
                'numpy.savez_compressed(path, masks=masks).'
            )
        masks = arrays['masks']
        if masks.ndim != 3 or len(masks) != self.num_classes:
            raise ValueError(
                f'{path} holds masks of the shape {masks.shape}: num_classes={self.num_classes} '
                f'needs ({self.num_classes}, rows, columns), one layer a class.'
            )
        wrong = np.unique(masks[(masks != 0) & (masks != 1)])
        if len(wrong):
            listed = ', '.join(map(str, wrong[:5])) + (', ...' if len(wrong) > 5 else '')
            raise ValueError(f'{path} holds {listed}: masks must be binary, 0 or 1.')
        results['gt_map'] = masks.astype(np.uint8).transpose(1, 2, 0)
        results['seg_fields'].append('gt_map')
        return results

    def __repr__(self) -> str:
        return f'LoadMapMasks(num_classes={self.num_classes}, backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class PackMapInputs(PackSegInputs):
    """Pack like PackSegInputs, with the map as `gt_map` (K, h, w) uint8 in the sample."""

    def transform(self, results: dict) -> dict:
        """Return `inputs` and `data_samples`."""
        packed = super().transform(results)
        if 'gt_map' in results:
            masks = np.ascontiguousarray(results['gt_map'].transpose(2, 0, 1))
            packed['data_samples'].gt_map = PixelData(data=torch.from_numpy(masks))
        return packed
