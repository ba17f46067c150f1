"""What the heads share that draw masks by diffusion."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmdiffseg.models.stochastic.head import StochasticHead


class StochasticMapHead(StochasticHead):
    """Draws label maps by diffusion at the size of the image; each chain ends in a sample.

    There are two of them. :class:`CategoricalMapHead` diffuses the labels themselves;
    :class:`EncodedMapHead` diffuses their codes, by Gaussian noise or along the lines of rectified
    flow. They differ in what the network says and in the loss.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        label_encoder: Complete config of the label encoder; None for categorical diffusion.
        noise_schedule: Complete config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the network; the channel numbers are filled in.
        out_channels: Channels of the network's output; None for those of the encoded map.
        steps: Sampling steps at test time; None takes all of a discrete schedule.
        generations: Samples per image at test time.
        max_batch: Most maps to denoise at once; None sets no bound.
        seed: Seed of the samples.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        label_encoder: dict | None,
        noise_schedule: dict,
        diffusion_sampler: dict,
        denoiser: dict,
        out_channels: int | None = None,
        steps: int | None,
        generations: int,
        max_batch: int | None,
        seed: int,
        ignore_index: int,
        align_corners: bool,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            loss_decode=None,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        self.build_diffusion(
            label_encoder=label_encoder,
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
        )
        channels = self.label_encoder.channels
        self.build_denoiser(denoiser, in_channels=channels, out_channels=out_channels or channels)

    def network_time(self, t: Tensor) -> Tensor:
        """The times that the network is told, about 0 to 1000 or the length of the chain."""
        raise NotImplementedError

    def map_shape(
        self, feature: Tensor | list[Tensor], metas: Sequence[dict]
    ) -> tuple[int, int, int]:
        """The map has the size of the image."""
        return (self.label_encoder.channels, *self.image_size(feature))

    def denoise(self, z_t: Tensor, t: Tensor, context: Any) -> Tensor:
        """What the network says of noisy maps (G B, C, H, W) at times (G B,) or (1,), float32."""
        return self.denoiser(z_t, self.network_time(t), context).float()

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """See :meth:`DiffusionHead.encode_output`."""
        return self.label_encoder.encode_output(output)
