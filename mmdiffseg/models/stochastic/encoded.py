"""Masks by diffusion of encoded labels: Gaussian noise, or rectified flow."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.corruption import Preconditioner
from mmdiffseg.diffusion.discrete import DiscreteSchedule
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Step
from mmdiffseg.models.stochastic.map_head import StochasticMapHead
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class EncodedMapHead(StochasticMapHead):
    """Draws label maps by diffusion of their codes, for any encoder and Gaussian schedule or flow.

    A sample is the nearest code of every pixel where a chain ends.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        label_encoder: Config of an encoder of fixed codes; classes and ignore index are filled in.
        noise_schedule: Config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the network; the channel numbers are filled in. It is told the times of
            a discrete schedule as they are, and 1000 t of a continuous one.
        steps: Sampling steps at test time; None takes all of a discrete schedule.
        generations: Samples per image at test time.
        prediction_type: What the network predicts: ``'velocity'`` (eps - x0), ``'x0'``, and,
            but for a :class:`LinearInterpolant`, ``'eps'`` or ``'v'``.
        clip_denoised: Clamp each step's estimate of the clean map to the range of the codes.
        max_batch: Most maps to denoise at once; None sets no bound.
        seed: Seed of the samples.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.

    Raises:
        ValueError: ``prediction_type`` does not fit the schedule, or the codes are learned.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        label_encoder: dict = dict(type='OneHotEncoder', scale=1.0),
        noise_schedule: dict = dict(type='LinearInterpolant'),
        diffusion_sampler: dict = dict(type='EulerSampler'),
        denoiser: dict = dict(type='mmdiffseg.CCDMUNet'),
        steps: int | None = 25,
        generations: int = 16,
        prediction_type: str = 'velocity',
        clip_denoised: bool = True,
        max_batch: int | None = None,
        seed: int = 0,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if 'reencode' in label_encoder:
            raise ValueError(
                'the network estimates codes, which nothing encodes again: leave out '
                f'reencode={label_encoder["reencode"]!r}'
            )
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            label_encoder={
                **label_encoder,
                'num_classes': num_classes,
                'ignore_index': ignore_index,
            },
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            denoiser=denoiser,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        if self.label_encoder.learned:
            raise ValueError(
                f'the codes of {type(self.label_encoder).__name__} are learned, and under a '
                'squared error they would all become one: choose OneHotEncoder or AnalogBitsEncoder'
            )
        self.preconditioner = Preconditioner(prediction_type, self.noise_schedule)
        self.clip_denoised = clip_denoised

    def network_time(self, t: Tensor) -> Tensor:
        """Continuous times are spread over the sinusoids of the time embedding."""
        return t if isinstance(self.noise_schedule, DiscreteSchedule) else 1000 * t

    def predict_step(self, z_t: Tensor, t: Tensor, context: Any) -> tuple[Tensor, None]:
        """The estimate of the clean encoded map (G B, C, H, W)."""
        raw = self.denoise(z_t, t, context)
        x0 = self.preconditioner.estimate(raw, z_t, *self.noise_schedule.alpha_sigma(t))
        return x0, None

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """The estimate, within the range of the codes."""
        if self.clip_denoised:
            return output.clamp(-self.label_encoder.scale, self.label_encoder.scale)
        return output

    def probabilities(self, output: Tensor) -> Tensor:
        """One for the class with the nearest code, (G B, K, H, W)."""
        labels = self.label_encoder.decode(output)
        return F.one_hot(labels, self.num_classes).permute(0, 3, 1, 2).float()

    def drawn(self, end: Step) -> Tensor:
        """See :meth:`StochasticHead.drawn`."""
        # not of the clamped estimate, in which several codes may be equally near
        return self.probabilities(end.output)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Squared error of the prediction at a random time, mean over the pixels that count.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: ``t`` (B,) and normal ``eps`` (B, C, H, W), in this order.

        Returns:
            ``loss_mse``.

        Raises:
            ValueError: See :meth:`labels`.
        """
        feature = self._transform_inputs(inputs)
        labels = self.labels(batch_data_samples, feature)
        x0 = self.label_encoder.encode(labels)
        z_t, t, eps = self.corrupt(x0, draws or Draws())
        context = self.prepare(feature, [sample.metainfo for sample in batch_data_samples])
        raw = self.denoise(z_t, t, context)
        target = self.preconditioner.target(x0, eps, *self.noise_schedule.alpha_sigma(t))
        valid = (labels != self.ignore_index)[:, None].expand_as(x0)
        error = (raw - target).square() * valid
        return dict(loss_mse=error.sum() / valid.sum().clamp(min=1))

    def distillation_loss(
        self, inputs: Sequence[Tensor], metas: Sequence[dict], noise: Tensor, labels: Tensor
    ) -> dict:
        """Squared error of the answer to pure noise in one step, mean over the pixels.

        Args:
            inputs: Features of the backbone.
            metas: Meta information of the images.
            noise: What chains start from (B, C, H, W).
            labels: Where the chains of a teacher end (B, H, W), from the same noise.

        Returns:
            ``loss_distillation``.
        """
        context = self.prepare(self._transform_inputs(inputs), metas)
        first, _ = self.diffusion_sampler.time_pairs(1)[0]
        t = torch.full((1,), first, device=noise.device)
        x0, _ = self.predict_step(noise, t, context)
        return dict(loss_distillation=(x0 - self.label_encoder.encode(labels)).square().mean())
