"""DDP's depth head: monocular depth by denoising an encoded depth map."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start, resize_start
from mmdiffseg.models.ddp.head import DDPBaseHead, check_sample_range
from mmdiffseg.models.ddp.sparse_depth import DOWNSAMPLE_RULES, downsample_depth
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class DDPDepthHead(DDPBaseHead):
    """Depth head of DDP (arXiv 2303.17559) for mmseg's plain ``DepthEstimator``.

    Training corrupts the encoded ground truth at a random time and asks the decoder for the depth
    in metres. Inference starts from noise and repeats: decode, encode the depth again, step to a
    cleaner time. The released code builds the decoder without time, ours with it; see
    ``time_modulation`` of :class:`DeformableMapDecoder`.

    Args:
        in_channels: Channels of the image feature, or of each feature map to be joined.
        channels: Width C of the map decoder.
        min_depth: Least depth that can be predicted, in metres.
        max_depth: Largest depth, in metres; predictions are cut off there.
        label_encoder: Config of the label encoder; the depths are filled in.
        noise_schedule: Config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the map decoder; the channel numbers are filled in.
        steps: Sampling steps at test time.
        generations: Generations per image at test time, averaged.
        sample_range: Range of the training times. Sampling starts at its noisy end (the released
            code at 1: ``diffusion_sampler=dict(..., t_max=1.0)``) and always goes down to 0.
        time_input: What the decoder is told of the time: ``'t'`` itself or ``'log_snr'``.
        gt_downsample: How the ground truth, 0 where nothing was measured, becomes as small as the
            feature, see :func:`downsample_depth`.
        scale_up: Predict sigmoid times ``max_depth`` instead of relu plus ``min_depth``.
        max_batch: Most maps to denoise at once: generations, and images, beyond it run one after
            the other.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss on the depths, called with prediction and truth.
        in_index: Which output of the neck or backbone to use; needed where there are several.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        align_corners: How predictions are resized.

    Example:
        >>> head = DDPDepthHead(in_channels=256, max_depth=10.0)
        >>> metas = [dict(img_path='a.jpg', img_shape=(480, 640), pad_shape=(480, 640))]
        >>> head.predict([torch.randn(1, 256, 120, 160)], metas, {}).shape  # metres
        torch.Size([1, 1, 480, 640])
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        channels: int = 256,
        min_depth: float = 1e-3,
        max_depth: float,
        label_encoder: dict = dict(type='DepthEncoder', scale=0.1),
        noise_schedule: dict = dict(type='CosineGamma'),
        diffusion_sampler: dict = dict(type='DDIMSampler', time_difference=1),
        denoiser: dict = dict(type='mmdiffseg.DeformableMapDecoder', num_layers=6),
        steps: int = 3,
        generations: int = 1,
        sample_range: tuple[float, float] = (0.0, 0.999),
        time_input: str = 't',
        gt_downsample: str = 'bilinear',
        scale_up: bool = False,
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict | Sequence[dict] = dict(type='mmdiffseg.SigLoss', loss_weight=1.0),
        in_index: int | Sequence[int] | None = None,
        input_transform: str | None = None,
        align_corners: bool = False,
    ) -> None:
        if gt_downsample not in DOWNSAMPLE_RULES:
            raise ValueError(
                f'gt_downsample must be one of {DOWNSAMPLE_RULES}, got {gt_downsample!r}'
            )
        check_sample_range(sample_range)
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=1,
            label_encoder={**label_encoder, 'min_depth': min_depth, 'max_depth': max_depth},
            noise_schedule=noise_schedule,
            diffusion_sampler={'t_max': sample_range[1], **diffusion_sampler},
            denoiser=denoiser,
            steps=steps,
            generations=generations,
            sample_range=sample_range,
            time_input=time_input,
            max_batch=max_batch,
            seed=seed,
            loss_decode=loss_decode,
            in_index=in_index,
            input_transform=input_transform,
            ignore_index=255,
            align_corners=align_corners,
            threshold=0.0,
        )
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.gt_downsample = gt_downsample
        self.scale_up = scale_up
        del self.conv_seg
        self.conv_depth = nn.Conv2d(channels, 1, 3, padding=1)
        nn.init.xavier_uniform_(self.conv_depth.weight)

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Output (B, 1, h, w) before it becomes a depth."""
        return self.conv_depth(feat)

    def denoise(self, z_t: Tensor, t: Tensor, context: tuple) -> Tensor:
        """Depths (B, 1, h, w) in metres for noisy maps (B, 1, h, w) at times (B,) or (1,)."""
        output = super().denoise(z_t, t, context)
        if self.scale_up:
            return output.sigmoid() * self.max_depth
        return output.relu() + self.min_depth

    def encode_start(self, start: Start, size: tuple[int, int]) -> Start:
        """Encode depths (B, 1, H, W) in metres to the size (h, w) of a chain."""
        start = resize_start(start, size)
        return replace(start, map=self.label_encoder.encode_output(start.map))

    def limit(self, output: Tensor) -> Tensor:
        """Cut depths (B, 1, h, w) off at the least and the largest."""
        return output.clamp(self.min_depth, self.max_depth)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Depth loss of one denoising step at a random time.

        Args:
            inputs: Features of the neck.
            batch_data_samples: Samples with ``gt_depth_map`` (1, H, W) in metres, 0 where nothing
                was measured.
            train_cfg: Unused, part of mmseg's interface.
            draws: Uniform ``t`` (B,) and normal ``eps`` (B, 1, h, w), in this order.

        Returns:
            The losses by name, ``loss_sig``.

        Raises:
            ValueError: Depths that are negative, not finite, almost nowhere measured or of another
                unit.
        """
        feature = self._transform_inputs(inputs)
        depth = torch.stack([sample.gt_depth_map.data for sample in batch_data_samples])
        self._check_depth(depth)
        small = downsample_depth(depth, feature.shape[2:], self.gt_downsample)
        z_t, t, _ = self.corrupt(self.label_encoder.encode(small), draws or Draws())
        output = self.denoise(z_t, t, self.denoiser.prepare(feature))
        return self.loss_by_feat(output, batch_data_samples)

    def loss_by_feat(self, output: Tensor, batch_data_samples: SampleList) -> dict:
        """Losses of depths (B, 1, h, w), resized to the ground truth."""
        depth = torch.stack([sample.gt_depth_map.data for sample in batch_data_samples])
        output = resize(output, depth.shape[2:], mode='bilinear', align_corners=self.align_corners)
        losses = self.loss_decode
        losses = losses if isinstance(losses, nn.ModuleList) else [losses]
        return {loss.loss_name: loss(output, depth) for loss in losses}

    def _check_depth(self, depth: Tensor) -> None:
        if not depth.isfinite().all() or (depth < 0).any():
            wrong = depth[~depth.isfinite() | (depth < 0)]
            raise ValueError(
                f'depths must be finite and not negative, 0 where nothing was measured, got '
                f'{wrong[0].item()} in {len(wrong)} pixels'
            )
        measured = depth[depth > 0]
        if len(measured) < 2:
            raise ValueError(
                f'{len(measured)} pixels of a batch of {len(depth)} depth maps hold a depth above '
                '0, the loss needs 2: are the depth maps empty, or the crops too small for sparse '
                'ones?'
            )
        # some sensors reach a little beyond the range that is learnt
        beyond = (measured > self.max_depth).float().mean().item()
        if beyond > 0.5:
            raise ValueError(
                f'{beyond:.0%} of all depths lie above max_depth={self.max_depth} m, up to '
                f'{measured.max().item():.6g}: are they in metres? Set depth_rescale_factor of '
                'LoadDepthAnnotation (0.001 for millimetres), or max_depth'
            )
