"""What the heads of DDP have in common."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.registry import MODELS

TIME_INPUTS = ('log_snr', 't')


def check_sample_range(sample_range: tuple[float, float]) -> None:
    """Refuse what is no range of times.

    Raises:
        ValueError: It is not (low, high) with 0 <= low < high <= 1.
    """
    pair = isinstance(sample_range, list | tuple) and len(sample_range) == 2
    if not pair or not 0 <= sample_range[0] < sample_range[1] <= 1:
        raise ValueError(
            f'sample_range must be (low, high) with 0 <= low < high <= 1, got {sample_range}'
        )


class DDPBaseHead(DiffusionHead, BaseDecodeHead):
    """Denoises an encoded map over the features of an image, which is encoded once.

    A subclass corrupts its ground truth in training, with a loss on what :meth:`denoise` makes of
    it. Inference starts from noise and repeats: decode, encode again, step to a cleaner time.

    Args:
        in_channels: Channels of the image feature, or of each feature map to be joined.
        channels: Width C of the map decoder.
        num_classes: Number of output channels.
        label_encoder: Complete config of the label encoder.
        noise_schedule: Config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the map decoder; the channel numbers are filled in.
        steps: Sampling steps at test time.
        generations: Generations per image at test time, averaged.
        sample_range: Range of the training times; sampling starts at its noisy end.
        time_input: What the decoder is told of the time: ``'log_snr'`` or ``'t'`` itself.
        max_batch: Most maps to denoise at once: generations, and images, beyond it run one after
            the other.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss.
        in_index: Which output of the neck or backbone to use; needed where there are several.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
        threshold: Keeps mmseg from warning where there is one output channel.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        channels: int,
        num_classes: int,
        label_encoder: dict,
        noise_schedule: dict,
        diffusion_sampler: dict,
        denoiser: dict,
        steps: int,
        generations: int,
        sample_range: tuple[float, float],
        time_input: str,
        max_batch: int | None,
        seed: int,
        loss_decode: dict | Sequence[dict],
        in_index: int | Sequence[int] | None,
        input_transform: str | None,
        ignore_index: int,
        align_corners: bool,
        threshold: float | None = None,
    ) -> None:
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            out_channels=num_classes,  # otherwise mmseg advises one channel for two classes
            dropout_ratio=0,
            in_index=-1 if in_index is None else in_index,
            input_transform=input_transform,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            threshold=threshold,
            init_cfg=None,
        )
        if time_input not in TIME_INPUTS:
            raise ValueError(f'time_input must be one of {TIME_INPUTS}, got {time_input!r}')
        self.build_diffusion(
            label_encoder=label_encoder,
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
        )
        self.denoiser = MODELS.build(
            {
                **denoiser,
                'feature_channels': self.in_channels,
                'map_channels': self.label_encoder.channels,
                'channels': channels,
            }
        )
        self.needs_one_map = in_index is None
        self.sample_range = sample_range
        self.time_input = time_input

    def prepare(self, feature: Tensor, metas: Sequence[dict]) -> tuple:
        """See :meth:`DiffusionHead.prepare`; for an image feature (B, in_channels, h, w)."""
        return self.denoiser.prepare(feature)

    def map_shape(self, feature: Tensor, metas: Sequence[dict]) -> tuple[int, int, int]:
        """The encoded map has the size of the feature (B, in_channels, h, w)."""
        return (self.label_encoder.channels, *feature.shape[2:])

    def predict_step(self, z_t: Tensor, t: Tensor, context: tuple) -> tuple[Tensor, None]:
        """See :meth:`DiffusionHead.predict_step`."""
        # the layout of encoded maps, so that the denoiser's tokens are a view
        z_t = z_t.contiguous(memory_format=torch.channels_last)
        return super().predict_step(z_t, t, context)

    def denoise(self, z_t: Tensor, t: Tensor, context: tuple) -> Tensor:
        """Output (B, K, h, w), float32, for noisy maps (B, C, h, w) at times (B,) or (1,)."""
        time = t if self.time_input == 't' else self.noise_schedule.log_snr(t)
        return self.cls_seg(self.denoiser(z_t, time, context)).float()

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Encode an output (B, K, h, w) to x0 (B, C, h, w)."""
        return self.label_encoder.encode_output(output)

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities (B, K, h, w) of logits of this shape."""
        return output.softmax(dim=1)

    def any_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Training times (count,), uniform in the ``sample_range``."""
        return draws.uniform('t', (count,), *self.sample_range, device=device)
