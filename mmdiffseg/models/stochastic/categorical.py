"""Masks by categorical diffusion: pixels change their class until the map is clean."""

from collections.abc import Sequence

import torch
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.categorical_loss import categorical_loss
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Step
from mmdiffseg.models.stochastic.map_head import StochasticMapHead
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class CategoricalMapHead(StochasticMapHead):
    """Head of CCDM (Zbinden et al., 2023) for any kernel of categorical diffusion.

    Training draws a noisy label map and asks the network for the classes of the clean one.
    Inference starts from pure noise and draws a map at every step, so that the choice for one pixel
    is seen by all others in the step that follows.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        noise_schedule: Config of the categorical diffusion; classes and ignore index are filled in.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the network; the channel numbers are filled in. It is told the times
            1 .. T.
        steps: Sampling steps at test time; None takes all of the schedule.
        generations: Samples per image at test time.
        loss: ``'kl'`` between the steps of the true and of the predicted chain (as released),
            ``'ce'``, the cross-entropy of the clean classes, or ``'kl+ce'``.
        ce_weight: Weight of the cross-entropy in ``'kl+ce'``.
        loss_reduction: ``'sum'`` over the pixels (as released) or ``'mean'``.
        void_class: Diffuse the ignored pixels as one more class, which the loss leaves out and no
            prediction holds (CCDM on Cityscapes), instead of as pure noise.
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
        noise_schedule: dict = dict(
            type='UniformDiffusion', schedule=dict(type='CosineBetas', num_timesteps=250)
        ),
        diffusion_sampler: dict = dict(type='CategoricalSampler'),
        denoiser: dict = dict(type='mmdiffseg.CCDMUNet'),
        steps: int | None = None,
        generations: int = 16,
        loss: str = 'kl',
        ce_weight: float = 1.0,
        loss_reduction: str = 'sum',
        void_class: bool = False,
        max_batch: int | None = None,
        seed: int = 0,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        diffused = num_classes + void_class
        if noise_schedule['type'].split('.')[-1] != 'BernoulliDiffusion':  # has two by definition
            noise_schedule = {**noise_schedule, 'num_classes': diffused}
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            label_encoder=None,
            noise_schedule={**noise_schedule, 'ignore_index': ignore_index},
            diffusion_sampler=diffusion_sampler,
            denoiser=denoiser,
            out_channels=diffused,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        if self.noise_schedule.num_classes != diffused:
            raise ValueError(
                f'{type(self.noise_schedule).__name__} has {self.noise_schedule.num_classes} '
                f'classes, got num_classes={num_classes}, void_class={void_class}: choose '
                'UniformDiffusion'
            )
        self.loss_kind = loss
        self.ce_weight = ce_weight
        self.loss_reduction = loss_reduction
        self.void_class = void_class

    def network_time(self, t: Tensor) -> Tensor:
        """CCDM counts times from 1."""
        return t + 1

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities (G B, K, H, W) of the clean map, from logits."""
        return self._classes(self.label_encoder.encode_output(output))

    def drawn(self, end: Step) -> Tensor:
        """See :meth:`StochasticHead.drawn`; the sampler says by ``final`` where a chain ends."""
        return self._classes(end.x0)

    def _classes(self, x0: Tensor) -> Tensor:
        """Probabilities (G B, K, H, W) without the void class."""
        return self.noise_schedule.all_states(x0)[:, : self.num_classes]

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Loss of the clean classes at a random time.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: Integer ``t`` (B,) and Gumbel ``eps`` (B, S, H, W), in this order.

        Returns:
            ``loss_kl``, ``loss_ce`` or ``loss_kl+ce``.

        Raises:
            ValueError: See :meth:`labels`.
        """
        feature = self._transform_inputs(inputs)
        labels = self.labels(batch_data_samples, feature)
        weight = None
        if self.void_class:
            labels = labels.masked_fill(labels == self.ignore_index, self.num_classes)
            weight = torch.ones(self.num_classes + 1)
            weight[-1] = 0
        z_t, t, _ = self.corrupt(self.label_encoder.encode(labels), draws or Draws())
        context = self.prepare(feature, [sample.metainfo for sample in batch_data_samples])
        logits = self.denoise(z_t, t, context)
        loss = categorical_loss(
            self.noise_schedule,
            z_t,
            labels,
            self.label_encoder.encode_output(logits),
            t,
            kind=self.loss_kind,
            ce_weight=self.ce_weight,
            class_weight=weight,
            reduction=self.loss_reduction,
        )
        return {f'loss_{self.loss_kind}': loss}
