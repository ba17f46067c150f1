"""The plain way to a map: convolutions over the BEV feature."""

from collections.abc import Sequence

from mmseg.models.decode_heads import FCNHead
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.models.ddp.bev_grid import BEVGridTransform, Scope
from mmdiffseg.models.ddp.map_masks import map_losses, stack_masks
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class FCNMapHead(FCNHead):
    """BEV feature, sampled at the grid of the map, then convolutions: the yardstick of DDPMapHead.

    Args:
        in_channels: Channels of the BEV feature.
        channels: Width of the convolutions.
        num_classes: Number K of classes.
        input_scope: Grid of the BEV feature, see :class:`DDPMapHead`.
        output_scope: Grid of the map.
        num_convs: Number of 3x3 convolutions.
        norm_cfg: Config of the norms after them.
        loss_decode: Config of the loss, called with logits and masks.
        in_index: Which of the outputs of neck or backbone to use.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int,
        num_classes: int,
        input_scope: Sequence[Scope],
        output_scope: Sequence[Scope],
        num_convs: int = 2,
        norm_cfg: dict = dict(type='BN'),
        loss_decode: dict | Sequence[dict] = dict(type='mmdiffseg.MultiLabelFocalLoss'),
        in_index: int = 0,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            out_channels=num_classes,
            num_convs=num_convs,
            concat_input=False,
            dropout_ratio=0,
            norm_cfg=norm_cfg,
            loss_decode=loss_decode,
            in_index=in_index,
            threshold=0.5,
        )
        self.grid_transform = BEVGridTransform(input_scope=input_scope, output_scope=output_scope)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict:
        """Losses of logits (B, K, H, W) on the ``gt_map`` of the samples, by name."""
        masks = stack_masks(batch_data_samples, seg_logits.shape[1:])
        return map_losses(self.loss_decode, seg_logits, masks)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Probabilities (B, K, H, W), of each class for itself."""
        return seg_logits.sigmoid()

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        feature = super()._transform_inputs(inputs)
        self.grid_transform.check(feature)
        return self.grid_transform(feature)
