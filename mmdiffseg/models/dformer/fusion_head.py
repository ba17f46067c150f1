"""One fusion head for panoptic, instance and semantic segmentation."""

import torch.nn.functional as F
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmdet.structures import SampleList
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmdiffseg.models.dformer.mask_classification import class_scores
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class UniversalFusionHead(MaskFormerFusionHead):
    """mmdet's ``MaskFormerFusionHead`` with semantic results, by ``semantic_on`` in ``test_cfg``.

    It takes mmdet's arguments. All other settings of ``test_cfg`` mean what they mean in mmdet.

    Example:
        >>> results = fusion.predict(cls_scores, masks, samples, rescale=True)
        >>> results[0]['pan_results'].sem_seg.shape
        torch.Size([1, 427, 640])
    """

    def semantic_postprocess(self, mask_cls: Tensor, mask_pred: Tensor) -> PixelData:
        """Classify every pixel.

        Args:
            mask_cls: Class logits (Q, C + 1).
            mask_pred: Mask logits (Q, H, W).

        Returns:
            ``sem_seg``, classes in [0, C) (1, H, W).
        """
        return PixelData(sem_seg=class_scores(mask_cls, mask_pred).argmax(dim=0, keepdim=True))

    def instance_postprocess(self, mask_cls: Tensor, mask_pred: Tensor) -> InstanceData:
        """Choose the instances of the highest scores, as mmdet does.

        Args:
            mask_cls: Class logits (Q, C + 1).
            mask_pred: Mask logits (Q, H, W).

        Raises:
            ValueError: ``max_per_image`` asks for more instances than there are.
        """
        wanted = self.test_cfg.get('max_per_image', 100)
        candidates = len(mask_cls) * self.num_classes
        if wanted > candidates:
            raise ValueError(
                f'test_cfg.max_per_image is {wanted}, but {len(mask_cls)} queries of '
                f'{self.num_classes} classes make {candidates} candidates: lower it'
            )
        return super().instance_postprocess(mask_cls, mask_pred)

    def predict(
        self,
        mask_cls_results: Tensor,
        mask_pred_results: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> list[dict]:
        """Make each image's results of every task that ``test_cfg`` turns on.

        Args:
            mask_cls_results: Class logits (B, Q, C + 1).
            mask_pred_results: Mask logits (B, Q, H, W) of the padded size.
            batch_data_samples: Samples that tell the sizes without padding. A semantic result is
                written into them as ``pred_sem_seg``, because mmdet's detector drops it.
            rescale: Whether to resize to the original images.

        Returns:
            ``pan_results`` and ``ins_results`` of each image, as in mmdet.

        Raises:
            ValueError: There are logits of another number of classes.
        """
        if mask_cls_results.shape[-1] != self.num_classes + 1:
            raise ValueError(
                f'the panoptic head has {mask_cls_results.shape[-1] - 1} classes and the fusion '
                f'head {self.num_classes}: set num_things_classes and num_stuff_classes of both'
            )
        results = []
        for mask_cls, mask_pred, sample in zip(
            mask_cls_results, mask_pred_results, batch_data_samples, strict=True
        ):
            h, w = sample.img_shape[:2]
            mask_pred = mask_pred[:, :h, :w]
            if rescale:
                size = tuple(sample.ori_shape[:2])
                mask_pred = F.interpolate(
                    mask_pred[None], size, mode='bilinear', align_corners=False
                )[0]
            result = {}
            if self.test_cfg.get('panoptic_on', True):
                result['pan_results'] = self.panoptic_postprocess(mask_cls, mask_pred)
            if self.test_cfg.get('instance_on', False):
                result['ins_results'] = self.instance_postprocess(mask_cls, mask_pred)
            if self.test_cfg.get('semantic_on', False):
                sample.pred_sem_seg = self.semantic_postprocess(mask_cls, mask_pred)
            results.append(result)
        return results
