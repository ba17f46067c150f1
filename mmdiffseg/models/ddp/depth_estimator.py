"""A DepthEstimator that also returns what a diffusion head knows beyond its depths."""

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.models.segmentors import DepthEstimator
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.uncertainty import DepthChange, DepthSpread, Tracker
from mmdiffseg.models.segmentors.diffusion_encoder_decoder import DiffusionEncoderDecoder
from mmdiffseg.registry import MODELS

MEASURES = ('change', 'spread')


@MODELS.register_module()
class DiffusionDepthEstimator(DiffusionEncoderDecoder, DepthEstimator):
    """mmseg's ``DepthEstimator`` with uncertainty maps and predictions at several step counts.

    Parameters and configs are those of the plain one, samples get ``pred_depth_map`` (1, H, W) in
    metres wherever a :class:`DiffusionEncoderDecoder` gives ``seg_logits`` and ``pred_sem_seg``.
    ``test_cfg.uncertainty`` names the measure: ``change`` (default, relative change of the depth
    over the steps) or ``spread`` (relative standard deviation over the generations; give the head
    several ``generations``).

    Example:
        >>> samples = model.predict(images, samples)
        >>> samples[0].pred_depth_map.data.shape, samples[0].uncertainty.data.shape
        (torch.Size([1, 480, 640]), torch.Size([1, 480, 640]))
    """

    def _tracker(self, images: int) -> Tracker:
        measure = self.test_cfg.get('uncertainty', 'change')
        if measure not in MEASURES:
            raise ValueError(f'uncertainty must be one of {MEASURES}, got {measure!r}')
        if measure == 'change':
            return DepthChange(images)
        return DepthSpread(images)

    def _restore(self, maps: Tensor, data_samples: OptSampleList) -> list[Tensor]:
        if data_samples is not None:
            data_samples = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
        samples = self.postprocess_result(maps, data_samples)
        return [sample.pred_depth_map.data for sample in samples]


@MODELS.register_module()
class DepthTTAModel(BaseTTAModel):
    """Averages the depths of all views of an image, and their uncertainty if there is any."""

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge the views of each image.

        Args:
            data_samples_list: The views of every image; the ground truth is that of the first one,
                which must be the image as it is.
        """
        merged = []
        for views in data_samples_list:
            sample = views[0]
            for name in ('pred_depth_map', 'uncertainty'):
                if name in sample:
                    mean = torch.stack([view.get(name).data for view in views]).mean(dim=0)
                    sample.set_data({name: PixelData(data=mean)})
            merged.append(sample)
        return merged
