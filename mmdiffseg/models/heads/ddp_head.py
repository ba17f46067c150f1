"""DDP's decode head: semantic segmentation by denoising an encoded label map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.randomness import randn
from mmdiffseg.diffusion.samplers import Callback, Prediction, Step
from mmdiffseg.models.sampling import sample_generations, sample_key
from mmdiffseg.registry import LABEL_ENCODERS, MODELS, NOISE_SCHEDULES, SAMPLERS


@MODELS.register_module()
class DDPHead(BaseDecodeHead):
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
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=0,
            in_index=in_index,
            input_transform=input_transform,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        if accumulation not in (False, 'prob'):
            raise ValueError(f"accumulation must be False or 'prob', got {accumulation!r}")
        if randsteps < 1:
            raise ValueError(f'randsteps must be at least 1, got {randsteps}')
        if max_batch is not None and max_batch < 1:
            raise ValueError(f'max_batch must be at least 1, got {max_batch}')
        if not 0 <= sample_range[0] < sample_range[1] <= 1:
            raise ValueError(f'sample_range must rise within [0, 1], got {sample_range}')
        self.noise_schedule = NOISE_SCHEDULES.build(noise_schedule)
        self.diffusion_sampler = SAMPLERS.build(
            {'t_min': sample_range[0], **diffusion_sampler, 'schedule': self.noise_schedule}
        )
        self.diffusion_sampler.time_pairs(timesteps)  # refuses impossible step counts right here
        if LABEL_ENCODERS.get(label_encoder['type']).learned:
            label_encoder = {'channels': channels, **label_encoder}
        self.label_encoder = LABEL_ENCODERS.build(
            {**label_encoder, 'num_classes': num_classes, 'ignore_index': ignore_index}
        )
        self.denoiser = MODELS.build(
            {
                **denoiser,
                'feature_channels': self.in_channels,
                'map_channels': self.label_encoder.channels,
                'channels': channels,
            }
        )
        self.timesteps = timesteps
        self.randsteps = randsteps
        self.accumulation = accumulation
        self.sample_range = sample_range
        self.self_aligned = self_aligned
        self.max_batch = max_batch
        self.seed = seed
        nn.init.xavier_uniform_(self.conv_seg.weight)

    def denoise(self, z_t: Tensor, t: Tensor, context: tuple) -> Tensor:
        """Class logits (B, K, h, w) for noisy maps (B, C, h, w) at times (B,) or (1,)."""
        decoded = self.denoiser(z_t, self.noise_schedule.log_snr(t), context)
        return self.conv_seg(decoded).float()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Sample logits (B, K, h, w) from features, with the noise of nameless images."""
        feature = self._transform_inputs(inputs)
        return self.sample(feature, keys=[''] * len(feature))

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

        def draw_times() -> Tensor:
            times = torch.empty(b, device=feature.device)
            return times.uniform_(*self.sample_range, generator=generator)

        # drawn in the released code's order: the time first, but last when self-aligned
        if t is None and not self.self_aligned:
            t = draw_times()
        if noise is None:
            shape = (b, self.label_encoder.channels, h, w)
            noise = randn(shape, generator=generator, device=feature.device)
        if t is None:
            t = draw_times()

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

    def predict(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: list[dict],
        test_cfg: dict,
        *,
        steps: int | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Sample logits (B, K, H, W), resized to the input image.

        Args:
            inputs: Features of the neck.
            batch_img_metas: Meta information; it names the images, each of which has its own noise.
                The windows of a sliding inference share that of their image.
            test_cfg: Unused, part of mmseg's interface.
            steps: Sampling steps instead of ``timesteps``.
            noise: See :meth:`sample`; instead of noise by name, as is the next.
            generator: See :meth:`sample`.
            callback: Sees every step of every chain.
        """
        feature = self._transform_inputs(inputs)
        keys = None
        if noise is None and generator is None:
            keys = [sample_key(meta) for meta in batch_img_metas]
        logits = self.sample(
            feature, keys=keys, noise=noise, generator=generator, steps=steps, callback=callback
        )
        return self.predict_by_feat(logits, batch_img_metas)

    def sample(
        self,
        feature: Tensor,
        *,
        keys: Sequence[str] | None = None,
        noise: Tensor | None = None,
        step_noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        steps: int | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Run the chains of all generations and average what they return.

        Args:
            feature: Image feature (B, in_channels, h, w).
            keys: Names of the images: each (image, generation) then draws from a generator of its
                own, whatever the batch around it.
            noise: Starting noise (randsteps * B, C, h, w), all images once per generation.
            step_noise: The same for each step of a stochastic sampler but the last.
            generator: Draws for all samples, where there are no ``keys``.
            steps: Sampling steps instead of ``timesteps``.
            callback: Sees every step; its batch holds all images once per generation.

        Returns:
            Logits (B, K, h, w); probabilities with ``accumulation='prob'``.
        """
        b, _, h, w = feature.shape
        context = self.denoiser.prepare(feature)
        total, count = 0.0, 0

        def predict(z_t: Tensor, t: Tensor) -> Prediction:
            # like the encoded maps, so that the denoiser's tokens are a view
            z_t = z_t.contiguous(memory_format=torch.channels_last)
            logits = self.denoise(z_t, t, context)
            return Prediction(self.label_encoder.encode_logits(logits), logits)

        def add(values: Tensor) -> None:
            nonlocal total, count
            values = values.unflatten(0, (-1, b))  # (G, B, K, h, w)
            total = total + values.sum(dim=0)
            count += len(values)

        def observe(step: Step) -> bool | None:
            if self.accumulation:
                add(step.logits.softmax(dim=1))
            return callback(step) if callback is not None else None

        chains = sample_generations(
            self.diffusion_sampler,
            predict,
            shape=(b, self.label_encoder.channels, h, w),
            steps=self.timesteps if steps is None else steps,
            generations=self.randsteps,
            device=feature.device,
            max_batch=self.max_batch,
            seed=self.seed,
            keys=keys,
            noise=noise,
            step_noise=step_noise,
            generator=generator,
            callback=observe,
        )
        for last in chains:
            if not self.accumulation:
                add(last.logits)
        return total / count

    def _check_labels(self, labels: Tensor) -> None:
        known = (labels >= 0) & (labels < self.num_classes) | (labels == self.ignore_index)
        if not known.all():
            raise ValueError(
                f'labels must lie in [0, {self.num_classes}) or be {self.ignore_index} (ignored), '
                f'got {labels[~known].unique().tolist()[:5]}: is num_classes right, or '
                f'reduce_zero_label missing?'
            )
