"""SegDiff's decode head: masks by denoising them in pixel space, several times over."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.corruption import corrupt, to_x0
from mmdiffseg.diffusion.randomness import randn
from mmdiffseg.diffusion.samplers import Callback, Prediction
from mmdiffseg.diffusion.variational import learned_log_variance, variational_bound
from mmdiffseg.models.sampling import noise_keys, sample_generations
from mmdiffseg.registry import LABEL_ENCODERS, MODELS, NOISE_SCHEDULES, SAMPLERS

REDUCTIONS = ('sum', 'mean')


@MODELS.register_module()
class SegDiffHead(BaseDecodeHead):
    """Head of SegDiff (arXiv 2112.00390) for mmseg's ``EncoderDecoder``.

    Training adds noise to the mask, encoded as -1 and +1, and asks the network for that noise.
    Inference runs the chain several times from different noise and averages the masks it ends in.
    The backbone encodes the image once, whatever the number of steps and generations.

    In a plain ``EncoderDecoder`` the result is the mean probability of every class, and the most
    likely class the prediction. :class:`mmdiffseg.models.SegDiff` has the paper's order (resize
    and clamp each generation, then average), its threshold and the spread of the generations.

    Args:
        in_channels: Channels of the image feature.
        num_classes: Number K of classes. Two (background and foreground) are denoised in one
            channel; more in a channel each, our extension.
        label_encoder: Config of the label encoder; classes and ignore index are filled in. None
            chooses it by the number of classes.
        noise_schedule: Config of the noise schedule, a discrete one.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the network; the channel numbers are filled in.
        timesteps: Sampling steps at test time; None takes all of the schedule.
        randsteps: Generations per image at test time.
        learn_variance: The network also learns the variance of its steps, which a DDPM sampler of
            ``learned_range`` uses.
        clip_denoised: Clamp each step's estimate of the mask to [-1, 1].
        loss_reduction: Squared errors are summed over the pixels (``'sum'``, as released) or
            averaged (``'mean'``: AdamW takes the same steps, and float16 does not overflow). With a
            learned variance they are averaged in either case, as released.
        max_batch: Most maps to denoise at once: generations beyond it run one after the other, but
            never less than one for all images of the batch.
        seed: Seed of the test-time noise.
        in_index: Which of the backbone's outputs to use.
        ignore_index: Label that no loss is paid for.
        align_corners: How maps are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int = 2,
        label_encoder: dict | None = None,
        noise_schedule: dict = dict(type='LinearBetas', num_timesteps=100),
        diffusion_sampler: dict = dict(
            type='DDPMSampler', spacing='uniform', variance='fixed_large'
        ),
        denoiser: dict = dict(type='mmdiffseg.SegDiffUNet'),
        timesteps: int | None = None,
        randsteps: int = 9,
        learn_variance: bool = False,
        clip_denoised: bool = False,
        loss_reduction: str = 'sum',
        max_batch: int | None = None,
        seed: int = 0,
        in_index: int = 0,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            num_classes=num_classes,
            out_channels=num_classes,
            dropout_ratio=0,
            in_index=in_index,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        del self.conv_seg, self.loss_decode  # the denoiser makes the maps
        if loss_reduction not in REDUCTIONS:
            raise ValueError(f'loss_reduction must be one of {REDUCTIONS}, got {loss_reduction!r}')
        if randsteps < 1:
            raise ValueError(f'randsteps must be at least 1, got {randsteps}')
        if max_batch is not None and max_batch < 1:
            raise ValueError(f'max_batch must be at least 1, got {max_batch}')
        self.noise_schedule = NOISE_SCHEDULES.build(noise_schedule)
        self.diffusion_sampler = SAMPLERS.build(
            {**diffusion_sampler, 'schedule': self.noise_schedule}
        )
        if timesteps is None:
            timesteps = self.noise_schedule.num_timesteps
        self.diffusion_sampler.time_pairs(timesteps)  # refuses impossible step counts right here
        learned = getattr(self.diffusion_sampler, 'variance', None) == 'learned_range'
        if learned and not learn_variance:
            raise ValueError(
                "a sampler of variance 'learned_range' needs a network with learn_variance=True"
            )
        if label_encoder is None:
            kind = 'BinaryMaskEncoder' if num_classes == 2 else 'OneHotEncoder'
            label_encoder = dict(type=kind, scale=1.0)
        self.label_encoder = LABEL_ENCODERS.build(
            {**label_encoder, 'num_classes': num_classes, 'ignore_index': ignore_index}
        )
        channels = self.label_encoder.channels
        self.denoiser = MODELS.build(
            {
                **denoiser,
                'in_channels': channels,
                'out_channels': 2 * channels if learn_variance else channels,
                'feature_channels': in_channels,
            }
        )
        self.timesteps = timesteps
        self.randsteps = randsteps
        self.learn_variance = learn_variance
        self.clip_denoised = clip_denoised
        self.loss_reduction = loss_reduction
        self.max_batch = max_batch
        self.seed = seed

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Class probabilities (B, K, h, w), with the noise of nameless images."""
        feature = self._transform_inputs(inputs)
        return self.probabilities(self.sample(feature, keys=[''] * len(feature))).mean(dim=0)

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
        """Squared error of the predicted noise at a random time (paper, section 3).

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            t: Times (B,), integer, instead of drawn ones.
            noise: Standard normal (B, C, H, W) instead of drawn noise.
            generator: Draws what is not given; torch's global one by default.

        Returns:
            ``loss_eps``; where the variance is learned also ``loss_vb``, in bits; and ``mse``, the
            mean squared error, for the log.

        Raises:
            ValueError: Labels outside [0, K) that are not ignored, or of another size than the
                feature.
        """
        feature = self._transform_inputs(inputs)
        labels = self._stack_batch_gt(batch_data_samples)[:, 0]  # (B, H, W)
        self._check_labels(labels, feature)
        if t is None:
            t = torch.randint(
                self.noise_schedule.num_timesteps,
                (len(feature),),
                generator=generator,
                device=feature.device,
            )
        x0 = self.label_encoder.encode(labels)  # (B, C, H, W)
        if noise is None:
            noise = randn(x0.shape, generator=generator, device=feature.device)
        alpha, sigma = self.noise_schedule.alpha_sigma(t)
        z_t = corrupt(x0, noise, alpha.float(), sigma.float())
        context = self.denoiser.prepare(feature)
        metas = [sample.metainfo for sample in batch_data_samples]
        output = self.denoiser(z_t, t, context, class_ids=self._class_ids(metas, t.device))
        eps, *fraction = output.float().split(x0.shape[1], dim=1)

        valid = (labels != self.ignore_index)[:, None].expand_as(x0)
        error = (eps - noise).square() * valid
        mse = mean_over(error, valid)
        losses = dict(mse=mse.detach())
        if self.learn_variance:
            estimate = to_x0(eps.detach(), z_t, alpha, sigma, 'eps')
            log_variance = learned_log_variance(self.noise_schedule, t, (fraction[0] + 1) / 2)
            bound = variational_bound(self.noise_schedule, x0, z_t, t, estimate, log_variance)
            return dict(losses, loss_eps=mse, loss_vb=mean_over(bound * valid, valid))
        if self.loss_reduction == 'mean':
            return dict(losses, loss_eps=mse)
        return dict(losses, loss_eps=error.flatten(1).sum(dim=1).mean())

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
        """Class probabilities (B, K, H, W), averaged over the generations.

        Args:
            inputs: Features of the backbone.
            batch_img_metas: Meta information; it names the images, each of which has its own noise.
                The windows of a sliding inference share that of their image.
            test_cfg: Unused, part of mmseg's interface.
            steps: Sampling steps instead of ``timesteps``.
            noise: See :meth:`sample`; instead of noise by name, as is the next.
            generator: See :meth:`sample`.
            callback: Sees every step of every chain.
        """
        masks = self.sample_images(
            inputs,
            batch_img_metas,
            steps=steps,
            noise=noise,
            generator=generator,
            callback=callback,
        )
        return self.predict_by_feat(self.probabilities(masks).mean(dim=0), batch_img_metas)

    def sample_images(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: list[dict],
        *,
        steps: int | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """All generations (N, B, C, h, w) as they leave the chain; see :meth:`predict`."""
        feature = self._transform_inputs(inputs)
        keys = noise_keys(batch_img_metas, noise, generator)
        return self.sample(
            feature,
            keys=keys,
            class_ids=self._class_ids(batch_img_metas, feature.device),
            noise=noise,
            generator=generator,
            steps=steps,
            callback=callback,
        )

    def sample(
        self,
        feature: Tensor,
        *,
        keys: Sequence[str] | None = None,
        class_ids: Tensor | None = None,
        noise: Tensor | None = None,
        step_noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        steps: int | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Run the chains of all generations.

        Args:
            feature: Image feature (B, in_channels, h, w).
            keys: Names of the images: each (image, generation) then draws from a generator of its
                own, whatever the batch around it.
            class_ids: Class (B,) of each image, for a network conditioned on it.
            noise: Starting noise (randsteps * B, C, h, w), all images once per generation.
            step_noise: The same for each step of a stochastic sampler but the last.
            generator: Draws for all samples, where there are no ``keys``.
            steps: Sampling steps instead of ``timesteps``.
            callback: Sees every step; its batch holds all images once per generation.

        Returns:
            The masks (randsteps, B, C, h, w), near -1 and +1.
        """
        b, _, h, w = feature.shape
        context = self.denoiser.prepare(feature)

        def predict(z_t: Tensor, t: Tensor) -> Prediction:
            ids = None if class_ids is None else class_ids.repeat(len(z_t) // b)
            output = self.denoiser(z_t, t, context, class_ids=ids).float()
            eps, *fraction = output.split(z_t.shape[1], dim=1)
            x0 = to_x0(eps, z_t, *self.noise_schedule.alpha_sigma(t), 'eps')
            if self.clip_denoised:
                x0 = x0.clamp(-1, 1)
            logits = torch.cat([-x0, x0], dim=1) if self.num_classes == 2 else x0
            return Prediction(x0, logits, (fraction[0] + 1) / 2 if fraction else None)

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
            callback=callback,
        )
        return torch.cat([last.x0 for last in chains]).unflatten(0, (-1, b))  # (N, B, C, h, w)

    def probabilities(self, masks: Tensor) -> Tensor:
        """Class probabilities (..., K, h, w) of masks (..., C, h, w) near -1 and +1."""
        probs = ((masks / self.label_encoder.scale + 1) / 2).clamp(0, 1)
        if self.num_classes == 2:
            return torch.cat([1 - probs, probs], dim=-3)
        return probs

    def _class_ids(self, metas: Sequence[dict], device: torch.device) -> Tensor | None:
        """The ``image_class`` of each image (B,), for a network conditioned on it."""
        if self.denoiser.label_emb is None:
            return None
        for meta in metas:
            if 'image_class' not in meta:
                raise ValueError(
                    f'a network with num_image_classes needs the class of {meta.get("img_path")}: '
                    "let the dataset set 'image_class' and PackSegInputs pass it in meta_keys"
                )
        return torch.tensor([meta['image_class'] for meta in metas], device=device)

    def _check_labels(self, labels: Tensor, feature: Tensor) -> None:
        if labels.shape[1:] != feature.shape[2:]:
            raise ValueError(
                f'labels of {tuple(labels.shape[1:])} pixels meet a feature of '
                f'{tuple(feature.shape[2:])}: SegDiff denoises at full resolution, it needs a '
                'backbone that keeps it, such as mmdiffseg.RRDBNet'
            )
        known = (labels >= 0) & (labels < self.num_classes) | (labels == self.ignore_index)
        if not known.all():
            raise ValueError(
                f'labels must lie in [0, {self.num_classes}) or be {self.ignore_index} (ignored), '
                f'got {labels[~known].unique().tolist()[:5]}: is num_classes right?'
            )


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of the values at valid places, of the same shape; 0 if there are none."""
    return values.sum() / valid.sum().clamp(min=1)
