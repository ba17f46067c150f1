"""Label maps of several raters: draw one to train on, load all to test."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from numpy.typing import NDArray

from mmdiffseg.datasets.pictures import check_same_size
from mmdiffseg.datasets.transforms.check_labels import CheckLabels
from mmdiffseg.datasets.transforms.load_binary_mask import read_binary_mask
from mmdiffseg.registry import TRANSFORMS


def read_rater(results: dict, rater: str) -> NDArray[np.uint8]:
    """Read and check the label map of one rater.

    Args:
        results: A sample of a :class:`MultiRaterDataset` whose image is loaded.
        rater: Name of the rater.

    Returns:
        Labels (H, W).

    Raises:
        ValueError: The map differs from the image in size, or holds a label outside the classes;
            the message names file and rater.
    """
    path, ignore_index = results['rater_paths'][rater], results['ignore_index']
    if results['foreground'] is not None:
        labels = read_binary_mask(path, foreground=results['foreground'], ignore_index=ignore_index)
    else:
        labels = mmcv.imfrombytes(fileio.get(path), flag='unchanged', backend='pillow')
        if results['reduce_zero_label']:
            unlabelled = (labels == 0) | (labels == ignore_index)
            labels = np.where(unlabelled, ignore_index, labels - 1)
        check = CheckLabels(num_classes=results['num_classes'], ignore_index=ignore_index)
        check.transform(dict(gt_seg_map=labels, seg_map_path=f'{path} by {rater}'))
    check_same_size(results, labels, what=f'its label map {path} by {rater} is')
    return labels.astype(np.uint8)


@TRANSFORMS.register_module()
class DrawRater(BaseTransform):
    """Load the label map of one rater drawn at random, by weight where raters have weights.

    For training, after ``LoadImageFromFile``; labels are checked here. Which rater it is stays
    unsaid, so that the model learns what raters say and not whom to imitate.
    """

    def transform(self, results: dict) -> dict:
        """Add `gt_seg_map`, (H, W) uint8."""
        raters = list(results['rater_paths'])
        rater = raters[np.random.choice(len(raters), p=results.get('rater_weights'))]
        results['gt_seg_map'] = read_rater(results, rater)
        results['seg_map_path'] = results['rater_paths'][rater]
        results['seg_fields'].append('gt_seg_map')
        return results


@TRANSFORMS.register_module()
class LoadRaters(BaseTransform):
    """Load the label maps of all raters, for testing.

    After ``LoadImageFromFile`` and, as labels are scored at their own size, after a resize. Labels
    are checked here. Samples without raters (inference) pass.
    """

    def transform(self, results: dict) -> dict:
        """Add `gt_raters`, (H, W, R) uint8, and `raters`, their names."""
        if 'rater_paths' not in results:
            return results
        results['raters'] = list(results['rater_paths'])
        maps = [read_rater(results, rater) for rater in results['raters']]
        results['gt_raters'] = np.stack(maps, axis=-1)
        results['seg_fields'].append('gt_raters')
        return results
