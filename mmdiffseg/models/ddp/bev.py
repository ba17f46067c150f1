"""DDP's map head: a map of several layers, seen from above, by denoising its encoded masks."""

from collections.abc import Sequence
from dataclasses import replace

import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start, resize_start
from mmdiffseg.models.ddp.bev_grid import Scope
from mmdiffseg.models.ddp.head import DDPBaseHead, check_sample_range
from mmdiffseg.models.ddp.map_masks import map_losses, stack_masks
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class DDPMapHead(DDPBaseHead):
    """BEV map head of DDP (arXiv 2303.17559) over any BEV feature, for a :class:`MapSegmentor`.

    Every class has a binary mask and may overlap with all others. Training corrupts the encoded
    masks at a random time, on the grid of the feature, and asks the decoder for the clean ones, on
    the grid of the map. Inference starts from noise and repeats: decode, encode the cells with a
    probability above 1/2 again, step to a cleaner time. It returns probabilities, averaged over all
    steps and generations. The released weights know no time; see ``time_modulation`` of
    :class:`BEVMapDecoder`.

    Args:
        in_channels: Channels of the BEV feature, or of each feature map to be joined.
        channels: Width C of the map decoder.
        num_classes: Number K of classes.
        input_scope: Grid of the BEV feature: (low, high, step) of its rows, then of its columns, in
            metres or another unit.
        output_scope: Grid of the map, in the same unit.
        label_encoder: Config of the label encoder; the classes are filled in, and the width C where
            it names none.
        noise_schedule: Config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the map decoder; grids and channel numbers are filled in.
        steps: Sampling steps at test time.
        generations: Generations per sample at test time, averaged.
        sample_range: Range of the training times. Sampling starts at its noisy end (the released
            code at 1: ``diffusion_sampler=dict(..., t_max=1.0)``) and always goes down to 0.
        max_batch: Most maps to denoise at once: generations, and images, beyond it run one after
            the other.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss, called with logits and masks.
        in_index: Which output of the neck or backbone to use; needed where there are several.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        align_corners: How maps to be joined are resized.

    Example:
        >>> head = DDPMapHead(
        ...     in_channels=256, num_classes=6,
        ...     input_scope=[(-51.2, 51.2, 0.8)] * 2, output_scope=[(-50, 50, 0.5)] * 2)
        >>> head.predict([torch.randn(1, 256, 128, 128)], [dict(sample_id='a')], {}).shape
        torch.Size([1, 6, 200, 200])
    """

    accumulation = 'prob'

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        channels: int = 256,
        num_classes: int,
        input_scope: Sequence[Scope],
        output_scope: Sequence[Scope],
        label_encoder: dict = dict(type='MultiLabelEncoder', scale=0.01),
        noise_schedule: dict = dict(type='CosineLogSNR'),
        diffusion_sampler: dict = dict(type='DDIMSampler', time_difference=1),
        denoiser: dict = dict(type='mmdiffseg.BEVMapDecoder', num_layers=5),
        steps: int = 3,
        generations: int = 1,
        sample_range: tuple[float, float] = (0.0, 0.999),
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict | Sequence[dict] = dict(type='mmdiffseg.MultiLabelFocalLoss'),
        in_index: int | Sequence[int] | None = None,
        input_transform: str | None = None,
        align_corners: bool = False,
    ) -> None:
        check_sample_range(sample_range)
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            label_encoder={'channels': channels, **label_encoder, 'num_classes': num_classes},
            noise_schedule=noise_schedule,
            diffusion_sampler={'t_max': sample_range[1], **diffusion_sampler},
            denoiser={**denoiser, 'input_scope': input_scope, 'output_scope': output_scope},
            steps=steps,
            generations=generations,
            sample_range=sample_range,
            time_input='log_snr',
            max_batch=max_batch,
            seed=seed,
            loss_decode=loss_decode,
            in_index=in_index,
            input_transform=input_transform,
            ignore_index=255,
            align_corners=align_corners,
            threshold=0.5,
        )
        nn.init.xavier_uniform_(self.conv_seg.weight)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Loss of one denoising step at a random time.

        Args:
            inputs: BEV features.
            batch_data_samples: Samples with ``gt_map`` (K, H, W) of zeros and ones on the grid of
                the map.
            train_cfg: Unused, part of mmseg's interface.
            draws: Uniform ``t`` (B,) and normal ``eps`` (B, C, h, w), in this order.

        Returns:
            The losses by name, ``loss_focal``.

        Raises:
            ValueError: A feature of other channels, or not cut as ``input_scope`` says, or masks of
                another shape or not binary.
        """
        feature = self._transform_inputs(inputs)
        cells = self.denoiser.grid_transform.output_cells
        masks = stack_masks(batch_data_samples, (self.num_classes, *cells))
        # to the feature's cells by number, as released, although the two grids may differ in range
        small = F.interpolate(masks.float(), size=feature.shape[2:], mode='nearest')
        z_t, t, _ = self.corrupt(self.label_encoder.encode(small), draws or Draws())
        logits = self.denoise(z_t, t, self.denoiser.prepare(feature))
        return map_losses(self.loss_decode, logits, masks)

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Encode logits (B, K, H, W) on the feature's cells, as training does with masks."""
        return self.label_encoder.encode_output(F.interpolate(output, size, mode='nearest'))

    def encode_start(self, start: Start, size: tuple[int, int]) -> Start:
        """Encode masks (B, K, H, W) on the feature's cells, those above 1/2, as training does."""
        start = resize_start(start, size)
        return replace(start, map=self.label_encoder.encode(start.map > 0.5))

    def probabilities(self, output: Tensor) -> Tensor:
        """Probabilities (B, K, H, W), of each class for itself."""
        return output.sigmoid()

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Return the map as it is: its grid has nothing to do with the size of an image."""
        return seg_logits

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        feature = super()._transform_inputs(inputs)
        if feature.shape[1] != self.in_channels:
            raise ValueError(
                f'a BEV feature of {feature.shape[1]} channels meets '
                f'in_channels={self.in_channels}: set it to those of the feature, or read other '
                'features'
            )
        self.denoiser.grid_transform.check(feature)
        return feature
