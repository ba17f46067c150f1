"""mmdet's Mask2Former, with the steps and the randomness of its diffusion head in reach."""

from mmdet.models.detectors import Mask2Former
from mmdet.structures import SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class DiffusionMask2Former(Mask2Former):
    """mmdet's ``Mask2Former`` for heads such as :class:`DFormerHead`.

    Parameters and configs are those of mmdet's, which runs these heads too.

    Example:
        >>> samples = model.predict(images, samples, steps=4)
        >>> samples[0].pred_panoptic_seg.sem_seg.shape
        torch.Size([1, 427, 640])
    """

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, *, draws: Draws | None = None
    ) -> dict[str, Tensor]:
        """Losses of the head, see :meth:`DFormerHead.loss`.

        Args:
            batch_inputs: Images (B, 3, H, W).
            batch_data_samples: Their samples.
            draws: Randomness of the head; drawn by default.
        """
        features = self.extract_feat(batch_inputs)
        return self.panoptic_head.loss(features, batch_data_samples, draws=draws)

    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
        *,
        steps: int | None = None,
        draws: Draws | None = None,
    ) -> SampleList:
        """Predict, see :meth:`DFormerHead.predict`.

        Args:
            batch_inputs: Images (B, 3, H, W).
            batch_data_samples: Their samples, filled in place.
            rescale: Whether to resize the results to the original images.
            steps: Sampling steps instead of those of the head.
            draws: Randomness of the head; drawn by the names of the images by default.

        Returns:
            Samples with ``pred_panoptic_seg``, ``pred_instances`` and ``pred_sem_seg``, as far as
            the fusion head makes them.
        """
        features = self.extract_feat(batch_inputs)
        cls_scores, masks = self.panoptic_head.predict(
            features, batch_data_samples, steps=steps, draws=draws
        )
        results = self.panoptic_fusion_head.predict(
            cls_scores, masks, batch_data_samples, rescale=rescale
        )
        return self.add_pred_to_datasample(batch_data_samples, results)
