"""Check of depth maps."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.datasets.pictures import check_depth_bits, check_same_size, check_upright
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckDepth(BaseTransform):
    """Stop at the first depth map that holds no depths in metres; goes after LoadDepthAnnotation.

    Results without a depth map (inference) pass.

    Args:
        max_depth: Largest depth to expect, in metres. Some sensors reach beyond, so that a map is
            taken for one of another unit only if most of its depths do.
    """

    def __init__(self, *, max_depth: float) -> None:
        if not max_depth > 0:
            raise ValueError(f'max_depth must be positive, in metres, got {max_depth}')
        self.max_depth = max_depth

    def transform(self, results: dict) -> dict:
        """Check `gt_depth_map`, (H, W), and its size against that of `img`.

        Raises:
            ValueError: The map has channels, 8 bits, or another size than the image, which may not
                be stored turned; a depth is negative or not finite, none is above 0, or most are
                above `max_depth`.
        """
        depth = results.get('gt_depth_map')
        if depth is None:
            return results
        path = results['depth_map_path']
        if depth.ndim != 2:
            raise ValueError(
                f'{path} is an image of shape {depth.shape}: a depth map must have one channel.'
            )
        check_depth_bits(path)
        check_upright(results['img_path'], truth=path)
        check_same_size(results, depth, what=f'its depth map {path} is')
        wrong = depth[~np.isfinite(depth) | (depth < 0)]
        if len(wrong):
            raise ValueError(
                f'{path} holds {wrong[0]} in {len(wrong)} pixels: depths must be finite and not '
                'negative, 0 where nothing was measured.'
            )
        measured = depth[depth > 0]
        if not len(measured):
            raise ValueError(
                f'{path} is 0 everywhere, nothing was measured: remove it, or check the file.'
            )
        if np.median(measured) > self.max_depth:
            raise ValueError(
                f'{path} holds depths around {np.median(measured):.6g}, up to '
                f'{measured.max():.6g}, above max_depth={self.max_depth} m: set '
                'depth_rescale_factor of LoadDepthAnnotation so that they become metres (0.001 for '
                'millimetres), or max_depth.'
            )
        return results

    def __repr__(self) -> str:
        return f'CheckDepth(max_depth={self.max_depth})'
