"""DDP's decode head: semantic segmentation by denoising an encoded label map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.randomness import randn
from mmdiffseg.models.ddp.head import DDPBaseHead
from mmdiffseg.registry import LABEL_ENCODERS, MODELS


@MODELS.register_module()
class DDPHead(DDPBaseHead):
    """Head of DDP (arXiv 2303.17559) for mmseg's plain ``EncoderDecoder``.

    Training corrupts the encoded ground truth at a random time and asks the decoder for the clean
    map, under the ordinary segmentation loss. Inference starts from noise and repeats: decode,
    re-encode the most likely class, step to a cleaner time. The image is encoded once.

    Args:
        in_channels: Channels of the image feature, or of each feature map to be joined.
        channels: Width C of the map decoder.
        num_classes: Number K of classes.
        label_encoder: Config of the label encoder; classes and ignore index are filled in, and for
            a learned one the width C where it names none.
        noise_schedule: Config of the noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the map decoder; the channel numbers are filled in.
        timesteps: Sampling steps at test time.
        randsteps: Generations per image at test time, averaged.
        accumulation: False returns the last step's logits; ``'prob'`` the class probabilities
            averaged over all steps, in the place of logits (the authors' ADE20K setting).
        sample_range: Range of the training times.
        self_aligned: Train on the model's own prediction from pure noise instead of the ground
            truth (the paper's self-aligned denoising, for the last iterations).
        max_batch: Most maps to denoise at once: generations beyond it run one after the other, but
            never less than one for all images of the batch.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss on the logits.
        in_index: Which of the neck's or backbone's outputs to use.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        ignore_index: Label that no loss is paid for.
        align_corners: How logits are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        channels: int = 256,
        num_classes: int,
        label_encoder: dict = dict(type='ClassEmbeddingEncoder', scale=0.01),
        noise_schedule: dict = dict(type='CosineLogSNR'),
        diffusion_sampler: dict = dict(type='DDIMSampler', time_difference=1),
        denoiser: dict = dict(type='mmdiffseg.DeformableMapDecoder', num_layers=6),
        timesteps: int = 3,
        randsteps: int = 1,
        accumulation: bool | str = False,
        sample_range: tuple[float, float] = (0.0, 0.999),
        self_aligned: bool = False,
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict | Sequence[dict] = dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0),
        in_index: int | Sequence[int] = 0,
        input_transform: str | None = None,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if accumulation not in (False, 'prob'):
            raise ValueError(f"accumulation must be False or 'prob', got {accumulation!r}")
        if LABEL_ENCODERS.get(label_encoder['type']).learned:
            label_encoder = {'channels': channels, **label_encoder}
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            label_encoder={
                **label_encoder,
                'num_classes': num_classes,
                'ignore_index': ignore_index,
            },
            noise_schedule=noise_schedule,
            diffusion_sampler={'t_min': sample_range[0], **diffusion_sampler},
            denoiser=denoiser,
            timesteps=timesteps,
            randsteps=randsteps,
            sample_range=sample_range,
            time_input='log_snr',
            max_batch=max_batch,
            seed=seed,
            loss_decode=loss_decode,
            in_index=in_index,
            input_transform=input_transform,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        self.accumulation = accumulation
        self.self_aligned = self_aligned
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
        """Segmentation loss of one denoising step at a random time.

        Args:
            inputs: Features of the neck.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            t: Times (B,) instead of drawn ones.
            noise: Standard normal (B, C, h, w) instead of drawn noise.
            generator: Draws what is not given; torch's global one by default.

        Returns:
            mmseg's ``loss_ce`` and ``acc_seg``.
        """
        feature = self._transform_inputs(inputs)
        labels = self._stack_batch_gt(batch_data_samples)  # (B, 1, H, W)
        self._check_labels(labels)
        logits = self.denoise_labels(feature, labels, t=t, noise=noise, generator=generator)
        return self.loss_by_feat(logits, batch_data_samples)

    def denoise_labels(
        self,
        feature: Tensor,
        labels: Tensor,
        *,
        t: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits (B, K, h, w) for the labels (B, 1, H, W) corrupted at times t.

        The self-aligned stage decodes pure noise first, without gradient, and corrupts what it
        found, with the same noise; the table of the label encoder still learns through it.
        See :meth:`loss` for the arguments.
        """
        b, _, h, w = feature.shape
        # drawn in the released code's order: the time first, but last when self-aligned
        if t is None and not self.self_aligned:
            t = self.draw_times(feature, generator)
        if noise is None:
            shape = (b, self.label_encoder.channels, h, w)
            noise = randn(shape, generator=generator, device=feature.device)
        if t is None:
            t = self.draw_times(feature, generator)

        context = self.denoiser.prepare(feature)
        if self.self_aligned:
            with torch.no_grad():
                labels = self.denoise(noise, torch.ones_like(t), context).argmax(dim=1)
            # older torch would use the half-precision weights cast here, which have no gradient
            torch.clear_autocast_cache()
        else:
            labels = F.interpolate(labels.float(), size=(h, w), mode='nearest').long()[:, 0]
        z_t = corrupt(self.label_encoder.encode(labels), noise, *self.noise_schedule.alpha_sigma(t))
        return self.denoise(z_t, t, context)

    def _check_labels(self, labels: Tensor) -> None:
        known = (labels >= 0) & (labels < self.num_classes) | (labels == self.ignore_index)
        if not known.all():
            raise ValueError(
                f'labels must lie in [0, {self.num_classes}) or be {self.ignore_index} (ignored), '
                f'got {labels[~known].unique().tolist()[:5]}: is num_classes right, or '
                f'reduce_zero_label missing?'
            )
