"""What the heads of DDP have in common."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdiffseg.diffusion.samplers import Callback, Prediction, Step
from mmdiffseg.models.sampling import noise_keys, sample_generations
from mmdiffseg.registry import LABEL_ENCODERS, MODELS, NOISE_SCHEDULES, SAMPLERS

TIME_INPUTS = ('log_snr', 't')


class DDPBaseHead(BaseDecodeHead):
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
        timesteps: Sampling steps at test time.
        randsteps: Generations per image at test time, averaged.
        sample_range: Range of the training times.
        time_input: What the decoder is told of the time: ``'log_snr'`` or ``'t'`` itself.
        max_batch: Most maps to denoise at once: generations beyond it run one after the other, but
            never less than one for all images of the batch.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss.
        in_index: Which of the neck's or backbone's outputs to use.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        ignore_index: Label that no loss is paid for.
        align_corners: How maps are resized.
        threshold: Only to keep mmseg from warning, where there is one output channel.
    """

    #: whether sampling returns the mean probability over all steps instead of the last output
    accumulation: bool | str = False

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
        timesteps: int,
        randsteps: int,
        sample_range: tuple[float, float],
        time_input: str,
        max_batch: int | None,
        seed: int,
        loss_decode: dict | Sequence[dict],
        in_index: int | Sequence[int],
        input_transform: str | None,
        ignore_index: int,
        align_corners: bool,
        threshold: float | None = None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            out_channels=num_classes,  # said, or mmseg advises one channel where there are two
            dropout_ratio=0,
            in_index=in_index,
            input_transform=input_transform,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            threshold=threshold,
            init_cfg=None,
        )
        if randsteps < 1:
            raise ValueError(f'randsteps must be at least 1, got {randsteps}')
        if max_batch is not None and max_batch < 1:
            raise ValueError(f'max_batch must be at least 1, got {max_batch}')
        if not 0 <= sample_range[0] < sample_range[1] <= 1:
            raise ValueError(f'sample_range must rise within [0, 1], got {sample_range}')
        if time_input not in TIME_INPUTS:
            raise ValueError(f'time_input must be one of {TIME_INPUTS}, got {time_input!r}')
        self.noise_schedule = NOISE_SCHEDULES.build(noise_schedule)
        self.diffusion_sampler = SAMPLERS.build(
            {**diffusion_sampler, 'schedule': self.noise_schedule}
        )
        self.diffusion_sampler.time_pairs(timesteps)  # refuses impossible step counts right here
        self.label_encoder = LABEL_ENCODERS.build(label_encoder)
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
        self.sample_range = sample_range
        self.time_input = time_input
        self.max_batch = max_batch
        self.seed = seed

    def denoise(self, z_t: Tensor, t: Tensor, context: tuple) -> Tensor:
        """Output (B, K, h, w), float32, for noisy maps (B, C, h, w) at times (B,) or (1,)."""
        time = t if self.time_input == 't' else self.noise_schedule.log_snr(t)
        return self.cls_seg(self.denoiser(z_t, time, context)).float()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Sample the output (B, K, h, w) from features, with the noise of nameless images."""
        feature = self._transform_inputs(inputs)
        return self.sample(feature, keys=[''] * len(feature))

    def draw_times(self, feature: Tensor, generator: torch.Generator | None) -> Tensor:
        """Training times (B,), one for each image of the feature (B, ...)."""
        times = torch.empty(len(feature), device=feature.device)
        return times.uniform_(*self.sample_range, generator=generator)

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
        """Sample the output (B, K, H, W), resized to the input image.

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
        keys = noise_keys(batch_img_metas, noise, generator)
        output = self.sample(
            feature, keys=keys, noise=noise, generator=generator, steps=steps, callback=callback
        )
        return self.predict_by_feat(output, batch_img_metas)

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
            The output (B, K, h, w) of the last step; with ``accumulation`` probabilities.
        """
        b, _, h, w = feature.shape
        context = self.denoiser.prepare(feature)
        total, count = 0.0, 0

        def predict(z_t: Tensor, t: Tensor) -> Prediction:
            # like the encoded maps, so that the denoiser's tokens are a view
            z_t = z_t.contiguous(memory_format=torch.channels_last)
            logits = self.denoise(z_t, t, context)
            return Prediction(self.encode_output(logits, z_t.shape[2:]), logits)

        def add(values: Tensor) -> None:
            nonlocal total, count
            values = values.unflatten(0, (-1, b))  # (G, B, K, h, w)
            total = total + values.sum(dim=0)
            count += len(values)

        def observe(step: Step) -> bool | None:
            if self.accumulation:
                add(self.probabilities(step.logits))
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
        return self.limit(total / count)

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Encode an output (B, K, h, w) to x0 (B, C, h, w) of the size of the noisy map."""
        return self.label_encoder.encode_logits(output)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (B, K, h, w) that logits of this shape stand for."""
        return logits.softmax(dim=1)

    def limit(self, output: Tensor) -> Tensor:
        """Bring an averaged output (B, K, h, w) into its range; logits have none."""
        return output
