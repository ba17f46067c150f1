"""DFormer's decode head: semantic segmentation by denoising a set of masks."""

from mmengine.structures import InstanceData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdiffseg.models.dformer.head import DFormerHead
from mmdiffseg.models.dformer.mask_classification import MaskPrediction, class_scores
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class DFormerSegHead(DFormerHead):
    """DFormer for mmseg's ``EncoderDecoder``: a class has one mask in an image, or none.

    Takes the settings of mmseg's own ``Mask2FormerHead`` under their names.

    Args:
        num_classes: Number K of classes.
        ignore_index: Label of the pixels that belong to no mask.
        align_corners: Must be False, as in the released code; part of mmseg's interface.
        **head: Arguments of :class:`DFormerHead` but its numbers of classes.

    Example:
        >>> scores = head.predict(features, metas, test_cfg={}, steps=4)
        >>> scores.shape
        torch.Size([2, 150, 512, 512])
    """

    # mmseg's interface instead of mmdet's
    predict = DiffusionHead.predict

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        align_corners: bool = False,
        **head,
    ) -> None:
        if align_corners:
            raise ValueError('DFormerSegHead resizes masks with align_corners=False, got True')
        super().__init__(num_things_classes=num_classes, num_stuff_classes=0, **head)
        self.out_channels = num_classes
        self.ignore_index = ignore_index
        self.align_corners = align_corners

    def make_targets(self, batch_data_samples: list) -> list[InstanceData]:
        """The ``labels`` (n,) of the classes in each image, and their ``masks`` (n, H, W)."""
        targets = []
        for sample in batch_data_samples:
            labels_map = sample.gt_sem_seg.data  # (1, H, W)
            labels = labels_map.unique()
            labels = labels[labels != self.ignore_index]
            masks = labels_map == labels[:, None, None]
            targets.append(InstanceData(labels=labels, masks=masks))
        return targets

    def class_maps(self, output: MaskPrediction) -> Tensor:
        """Scores of all classes (G B, K, H / 4, W / 4); no logits, but not negative."""
        return class_scores(*output)

    def probabilities(self, output: MaskPrediction) -> Tensor:
        """Class probabilities (G B, K, H / 4, W / 4): the scores, made to sum to 1."""
        return self.summary_probabilities(self.class_maps(output))

    def summary_probabilities(self, summary: Tensor) -> Tensor:
        """See :meth:`DiffusionHead.summary_probabilities`; scores are made to sum to 1."""
        return summary / summary.sum(dim=1, keepdim=True).clamp(min=1e-6)

    def predict_by_feat(
        self, output: MaskPrediction | Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """Resize to the padded image, or to the window that slides over it.

        Args:
            output: Maps, or a prediction of all generations; its masks are resized before the
                classes are put together.
            batch_img_metas: Meta information.

        Returns:
            The maps, or class scores (B, K, H, W) averaged over the generations.
        """
        if not isinstance(output, MaskPrediction):
            return BaseDecodeHead.predict_by_feat(self, output, batch_img_metas)
        masks = BaseDecodeHead.predict_by_feat(self, output.masks, batch_img_metas)
        return class_scores(output.cls_scores, masks) / self.generations
