"""DDP's map head: a map of several layers, seen from above, by denoising its encoded masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.randomness import randn
from mmdiffseg.models.ddp.bev_grid import Scope
from mmdiffseg.models.ddp.head import DDPBaseHead
from mmdiffseg.models.ddp.map_masks import map_losses, stack_masks
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class DDPMapHead(DDPBaseHead):
    """BEV map head of DDP (arXiv 2303.17559) over any BEV feature, for a :class:`MapSegmentor`.

    Every class has a binary mask and may overlap with all others. Training corrupts the encoded
    masks at a random time, on the grid of the feature, and asks the decoder for the clean ones, on
    the grid of the map. Inference starts from noise and repeats: decode, encode again what is more
    likely than not, step to a cleaner time. It returns probabilities, averaged over all steps and
    generations. The released weights know no time; see ``time_modulation`` of
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
        timesteps: Sampling steps at test time.
        randsteps: Generations per sample at test time, averaged.
        sample_range: Range of the training times; sampling goes down to 0 in any case.
        max_batch: Most maps to denoise at once: generations beyond it run one after the other, but
            never less than one for all samples of the batch.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss, called with logits and masks.
        in_index: Which of the outputs of neck or backbone to use.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        align_corners: How maps to be joined are resized.
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
        timesteps: int = 3,
        randsteps: int = 1,
        sample_range: tuple[float, float] = (0.0, 0.999),
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict | Sequence[dict] = dict(type='mmdiffseg.MultiLabelFocalLoss'),
        in_index: int | Sequence[int] = 0,
        input_transform: str | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            label_encoder={'channels': channels, **label_encoder, 'num_classes': num_classes},
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            denoiser={**denoiser, 'input_scope': input_scope, 'output_scope': output_scope},
            timesteps=timesteps,
            randsteps=randsteps,
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
        t: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> dict:
        """Loss of one denoising step at a random time.

        Args:
            inputs: BEV features.
            batch_data_samples: Samples with ``gt_map`` (K, H, W) of zeros and ones on the grid of
                the map.
            train_cfg: Unused, part of mmseg's interface.
            t: Times (B,) instead of drawn ones.
            noise: Standard normal (B, C, h, w) instead of drawn noise.
            generator: Draws what is not given; torch's global one by default.

        Returns:
            The losses by name, ``loss_focal``.

        Raises:
            ValueError: A feature of other channels, or not cut as ``input_scope`` says, or masks of
                another shape or not binary.
        """
        feature = self._transform_inputs(inputs)
        cells = self.denoiser.grid_transform.output_cells
        masks = stack_masks(batch_data_samples, (self.num_classes, *cells))
        logits = self.denoise_masks(feature, masks, t=t, noise=noise, generator=generator)
        return map_losses(self.loss_decode, logits, masks)

    def denoise_masks(
        self,
        feature: Tensor,
        masks: Tensor,
        *,
        t: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits (B, K, H, W) for the masks (B, K, H, W) corrupted at times t.

        The masks are taken to the feature's cells by number, as in the released code, although the
        two grids may not cover the same range. See :meth:`loss` for the arguments.
        """
        small = F.interpolate(masks.float(), size=feature.shape[2:], mode='nearest')
        x0 = self.label_encoder.encode(small)
        # drawn in the released code's order
        if t is None:
            t = self.draw_times(feature, generator)
        if noise is None:
            noise = randn(x0.shape, generator=generator, device=feature.device)
        z_t = corrupt(x0, noise, *self.noise_schedule.alpha_sigma(t))
        return self.denoise(z_t, t, self.denoiser.prepare(feature))

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Encode logits (B, K, H, W) on the feature's cells, as training does with masks."""
        return self.label_encoder.encode_logits(F.interpolate(output, size, mode='nearest'))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (B, K, H, W), of each class for itself."""
        return logits.sigmoid()

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
