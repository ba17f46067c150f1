"""Check of label maps."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.datasets.pictures import check_labels_fit, check_same_size, check_upright
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckLabels(BaseTransform):
    """Stop at the first label map that does not hold class ids; goes right after LoadAnnotations.

    Reads the headers of both files, too. Results without a label map (inference) pass unchanged.

    Args:
        num_classes: Number K of classes; labels must lie in [0, K).
        ignore_index: The only other value that may occur.
    """

    def __init__(self, *, num_classes: int, ignore_index: int = 255) -> None:
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        if 0 <= ignore_index < num_classes:
            raise ValueError(
                f'ignore_index={ignore_index} is one of the {num_classes} classes: set it to '
                'another value'
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Check `gt_seg_map`, (H, W).

        Raises:
            ValueError: The label map has channels, another size than the image, or a value outside
                [0, K) that is not ignored; or the image is stored turned.
        """
        labels = results.get('gt_seg_map')
        if labels is None:
            return results
        path = results['seg_map_path']
        if labels.ndim != 2:
            raise ValueError(
                f'{path} is a colour image of shape {labels.shape}: labels must be PNGs of one '
                'channel that holds class ids.'
            )
        if 'ori_shape' in results:
            check_same_size(results, labels, what=f'its labels {path} are')
        if 'img_path' in results:
            check_upright(results['img_path'], truth=path)
            check_labels_fit(path)
        wrong = (labels >= self.num_classes) & (labels != self.ignore_index)
        if wrong.any():
            values = ', '.join(map(str, np.unique(labels[wrong])[:5]))
            raise ValueError(
                f'{path} holds labels outside [0, {self.num_classes}) that are not ignore_index='
                f'{self.ignore_index}: {values}; correct num_classes, map them to '
                f'{self.ignore_index}, or set reduce_zero_label=True if classes count from 1.'
            )
        return results

    def __repr__(self) -> str:
        return f'CheckLabels(num_classes={self.num_classes}, ignore_index={self.ignore_index})'
