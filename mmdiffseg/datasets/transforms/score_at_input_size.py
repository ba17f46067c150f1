"""Scores at the size that the network sees."""

from mmcv.transforms import BaseTransform

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ScoreAtInputSize(BaseTransform):
    """Let predictions stay at the size of the input instead of that of the file.

    For protocols that score shrunken images; goes after a resize of both image and labels.
    """

    def transform(self, results: dict) -> dict:
        """Take `img_shape` for `ori_shape`, to which mmseg resizes predictions."""
        results['ori_shape'] = results['img_shape']
        return results

    def __repr__(self) -> str:
        return 'ScoreAtInputSize()'
