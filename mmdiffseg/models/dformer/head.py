"""DFormer's heads: panoptic, instance and semantic segmentation by denoising a set of masks."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.mask_sets import fill_slots
from mmdiffseg.diffusion.randomness import randn
from mmdiffseg.diffusion.samplers import Callback, Step
from mmdiffseg.models.dformer.mask_classification import (
    MaskPrediction,
    SetPrediction,
    average,
    class_scores,
)
from mmdiffseg.models.dformer.mask_decoder import ImageContext, NoisyMaskDecoder
from mmdiffseg.models.sampling import noise_keys, sample_generations
from mmdiffseg.registry import LABEL_ENCODERS, MODELS, NOISE_SCHEDULES, SAMPLERS

NOISE_SIZES = ('img', 'padded')


@MODELS.register_module()
class DFormerHead(NoisyMaskDecoder):
    """Head of DFormer (arXiv 2306.03437) for mmdet's plain ``Mask2Former``.

    Training fills Q slots with the image's masks and with random ones, corrupts them at a random
    time and asks the decoder for the masks and their classes, under Mask2Former's set loss.
    Inference starts from noise and repeats: decode, encode the masks found, step to a cleaner time.
    The image is encoded once.

    Args:
        label_encoder: Config of the encoder of masks.
        noise_schedule: Config of a discrete noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        timesteps: Sampling steps at test time.
        noise_size: ``'img'``: the noise has the size of the images without padding, where all of
            the batch have one size, and is stretched over the padding, as the released code does
            with its one image; otherwise, and with ``'padded'``, that of the padded batch.
        ensemble_steps: Average class and mask probabilities over the steps (not in the release).
        seed: Seed of the test-time noise.
        **decoder: Arguments of :class:`NoisyMaskDecoder`.
    """

    def __init__(
        self,
        *,
        label_encoder: dict = dict(type='MaskSetEncoder', scale=0.1),
        noise_schedule: dict = dict(type='CosineBetas', num_timesteps=1000),
        diffusion_sampler: dict = dict(type='DDIMSampler', spacing='trailing_truncated', eta=1.0),
        timesteps: int = 1,
        noise_size: str = 'img',
        ensemble_steps: bool = False,
        seed: int = 0,
        **decoder,
    ) -> None:
        super().__init__(**decoder)
        if noise_size not in NOISE_SIZES:
            raise ValueError(f'noise_size must be one of {NOISE_SIZES}, got {noise_size!r}')
        self.label_encoder = LABEL_ENCODERS.build(label_encoder)
        self.noise_schedule = NOISE_SCHEDULES.build(noise_schedule)
        self.diffusion_sampler = SAMPLERS.build(
            {**diffusion_sampler, 'schedule': self.noise_schedule}
        )
        self.diffusion_sampler.time_pairs(timesteps)  # refuses impossible step counts right here
        self.timesteps = timesteps
        self.noise_size = noise_size
        self.ensemble_steps = ensemble_steps
        self.seed = seed

    def denoise(self, z_t: Tensor, t: Tensor, context: ImageContext) -> MaskPrediction:
        """Masks and classes for noisy signals (B, Q, h, w) at times (B,) or (1,)."""
        soft_masks = (self.label_encoder.to_soft_masks(signals) for signals in z_t)
        return self.decode(self.read(soft_masks, context), t, context)

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: list | None = None
    ) -> MaskPrediction:
        """Sample masks and classes from the backbone's maps; see :meth:`sample`."""
        metas = [sample.metainfo for sample in batch_data_samples or ()]
        return self.sample(x, metas or [{}] * len(x[0]))

    def loss(
        self,
        x: Sequence[Tensor],
        batch_data_samples: list,
        train_cfg: dict | None = None,
        *,
        t: Tensor | None = None,
        noise: Sequence[Tensor] | None = None,
        padding: Sequence[Tensor] | None = None,
        order: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Mask2Former's set loss behind every layer, for masks corrupted at a random time.

        Args:
            x: The backbone's maps.
            batch_data_samples: Samples with the ground truth of the task.
            train_cfg: Unused, part of mmseg's interface.
            t: Times (B,), integer, instead of drawn ones.
            noise: For each image, standard normal (Q, H, W) instead of drawn noise.
            padding: For each image, the random masks, see :func:`fill_slots`.
            order: For each image, the order of the slots, see :func:`fill_slots`.
            generator: Draws what is not given; torch's global one by default. The points of the
                loss are always drawn by that.

        Returns:
            ``loss_cls``, ``loss_mask`` and ``loss_dice`` of the last layer, and of layer i as
            ``d{i}.loss_cls`` and so on.

        Raises:
            ValueError: A label is not in [0, C).
        """
        targets = self.make_targets(batch_data_samples)
        self._check_labels(targets)
        times = []

        def corrupted() -> Iterator[Tensor]:
            # One image at a time, in the released code's order of draws: its 100 masks in full
            # resolution and in float64 are nearly a gigabyte.
            for i, target in enumerate(targets):
                device = target.masks.device
                if t is None:
                    count = self.noise_schedule.num_timesteps
                    time = torch.randint(count, (1,), generator=generator, device=device)
                else:
                    time = t[i : i + 1]
                times.append(time)
                slots = fill_slots(
                    target.masks.bool(),
                    self.num_queries,
                    padding=None if padding is None else padding[i],
                    order=None if order is None else order[i],
                    generator=generator,
                )
                x0 = self.label_encoder.encode(slots[None], generator=generator)  # (1, Q, H, W)
                if noise is None:
                    eps = randn(x0.shape, generator=generator, device=device)
                else:
                    eps = noise[i][None]
                alpha, sigma = self.noise_schedule.alpha_sigma(time)
                yield self.label_encoder.to_soft_masks(corrupt(x0, eps, alpha, sigma)[0])

        context = self.prepare(x)
        reading = self.read(corrupted(), context)
        predictions = self.decode_every_layer(reading, torch.cat(times), context)
        metas = [sample.metainfo for sample in batch_data_samples]
        # 12544 points summed for the assignment are too much for half precision
        with torch.autocast(x[0].device.type, enabled=False):
            return self.loss_by_feat(*zip(*predictions, strict=True), targets, metas)

    def get_targets(
        self,
        cls_scores_list: list[Tensor],
        mask_preds_list: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
    ) -> tuple:
        """Match one layer's predictions, as in mmdet but for the last number, by which masks count.

        It is that of all masks of the batch, as in the released code. mmdet counts one for an image
        without any, and none beyond the number of queries.
        """
        *targets, _ = super().get_targets(
            cls_scores_list, mask_preds_list, batch_gt_instances, batch_img_metas
        )
        return (*targets, sum(len(target.labels) for target in batch_gt_instances))

    def make_targets(self, batch_data_samples: list) -> list[InstanceData]:
        """The ``labels`` (n,) and ``masks`` (n, H, W) of each image, stuff behind the things.

        Raises:
            ValueError: The masks have not been padded like the images.
        """
        for sample in batch_data_samples:
            masks, padded = sample.gt_instances.masks, tuple(sample.batch_input_shape)
            if (masks.height, masks.width) != padded:
                raise ValueError(
                    f'masks of {masks.height} x {masks.width} pixels meet images padded to '
                    f'{padded}: set pad_mask=True, and pad_seg=True for stuff, in the '
                    'data_preprocessor'
                )
        return self.preprocess_gt(
            [sample.gt_instances for sample in batch_data_samples],
            [sample.get('gt_sem_seg') for sample in batch_data_samples],
        )

    def _check_labels(self, targets: list[InstanceData]) -> None:
        labels = torch.cat([target.labels for target in targets])
        known = (labels >= 0) & (labels < self.num_classes)
        if not known.all():
            raise ValueError(
                f'labels must lie in [0, {self.num_classes}), got '
                f'{labels[~known].unique().tolist()[:5]}: does the number of classes of the head '
                'agree with the dataset?'
            )

    def predict(
        self,
        x: Sequence[Tensor],
        batch_data_samples: list,
        *,
        steps: int | None = None,
        noise: Tensor | None = None,
        step_noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sample masks and classes, for a fusion head.

        Args:
            x: The backbone's maps.
            batch_data_samples: Samples whose meta information names the images.
            steps: See :meth:`sample`, as the others.
            noise: Instead of noise by name.
            step_noise: Instead of noise by name.
            generator: Instead of noise by name.
            callback: Sees every step.

        Returns:
            Class logits (B, Q, C + 1) and mask logits (B, Q, H, W) of the padded size.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        cls_scores, masks = self.sample(
            x,
            metas,
            steps=steps,
            noise=noise,
            step_noise=step_noise,
            generator=generator,
            callback=callback,
        )
        size = tuple(metas[0]['batch_input_shape'])
        return cls_scores, F.interpolate(masks, size, mode='bilinear', align_corners=False)

    def sample(
        self,
        x: Sequence[Tensor],
        metas: Sequence[dict],
        *,
        steps: int | None = None,
        noise: Tensor | None = None,
        step_noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> MaskPrediction:
        """Run the chain.

        Args:
            x: The backbone's maps.
            metas: Meta information; it names the images, each of which has its own noise, and has
                their size without padding.
            steps: Sampling steps instead of ``timesteps``.
            noise: Starting noise (B, Q, h, w) of any size, instead of noise by name.
            step_noise: The same for each step but the last.
            generator: Draws for all images, instead of noise by name.
            callback: Sees every step; its logits are a :class:`MaskPrediction`.
        """
        context = self.prepare(x)
        seen = []

        def predict(z_t: Tensor, t: Tensor) -> SetPrediction:
            def encode(masks: Tensor) -> Tensor:
                x0 = self.label_encoder.encode_logits(masks)
                return F.interpolate(x0, z_t.shape[2:], mode='bilinear', align_corners=False)

            return SetPrediction(self.denoise(z_t, t, context), encode)

        def observe(step: Step) -> bool | None:
            seen.append(step.logits)
            return callback(step) if callback is not None else None

        size = self._noise_size(x, metas) if noise is None else noise.shape[2:]
        (last,) = sample_generations(
            self.diffusion_sampler,
            predict,
            shape=(len(x[0]), self.num_queries, *size),
            steps=self.timesteps if steps is None else steps,
            generations=1,
            device=x[0].device,
            seed=self.seed,
            keys=noise_keys(metas, noise, generator),
            noise=noise,
            step_noise=step_noise,
            generator=generator,
            callback=observe if self.ensemble_steps else callback,
        )
        return average(seen) if self.ensemble_steps else last.logits

    def _noise_size(self, x: Sequence[Tensor], metas: Sequence[dict]) -> tuple[int, int]:
        sizes = {tuple(meta['img_shape'][:2]) for meta in metas if 'img_shape' in meta}
        if self.noise_size == 'img' and len(sizes) == 1:
            return sizes.pop()
        h, w = x[0].shape[2:]
        return h * self.strides[0], w * self.strides[0]


@MODELS.register_module()
class DFormerSegHead(DFormerHead):
    """DFormer for mmseg's ``EncoderDecoder``: a class has one mask in an image, or none.

    Args:
        num_classes: Number C of classes.
        ignore_index: Label of the pixels that belong to no mask.
        **head: Arguments of :class:`DFormerHead`.
    """

    #: part of mmseg's interface, as is the next
    align_corners = False
    #: resizes to the padded image, or to the window that slides over it
    predict_by_feat = BaseDecodeHead.predict_by_feat
    #: generations per image
    randsteps = 1

    def __init__(self, *, num_classes: int, ignore_index: int = 255, **head) -> None:
        super().__init__(num_things_classes=num_classes, num_stuff_classes=0, **head)
        self.out_channels = num_classes
        self.ignore_index = ignore_index

    def make_targets(self, batch_data_samples: list) -> list[InstanceData]:
        """The ``labels`` (n,) of the classes in each image, and their ``masks`` (n, H, W)."""
        targets = []
        for sample in batch_data_samples:
            labels_map = sample.gt_sem_seg.data  # (1, H, W)
            labels = labels_map.unique()
            labels = labels[labels != self.ignore_index]
            masks = labels_map == labels[:, None, None]
            targets.append(InstanceData(labels=labels, masks=masks))
        return targets

    def predict(
        self,
        x: Sequence[Tensor],
        batch_img_metas: list[dict],
        test_cfg: dict,
        *,
        steps: int | None = None,
        noise: Tensor | None = None,
        step_noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Sample class scores (B, C, H, W) of the size of the input; no logits, but not negative.

        Args:
            x: The backbone's maps.
            batch_img_metas: Meta information, which names the images.
            test_cfg: Unused, part of mmseg's interface.
            steps: See :meth:`sample`, as the others.
            noise: Instead of noise by name.
            step_noise: Instead of noise by name.
            generator: Instead of noise by name.
            callback: Sees every step, with class scores (B, C, H / 4, W / 4) as its logits.
        """

        def observe(step: Step) -> bool | None:
            return callback(step._replace(logits=class_scores(*step.logits)))

        cls_scores, masks = self.sample(
            x,
            batch_img_metas,
            steps=steps,
            noise=noise,
            step_noise=step_noise,
            generator=generator,
            callback=None if callback is None else observe,
        )
        return class_scores(cls_scores, self.predict_by_feat(masks, batch_img_metas))
