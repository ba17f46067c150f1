"""DFormer's heads: panoptic, instance and semantic segmentation by denoising a set of masks."""

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.mask_sets import fill_slots
from mmdiffseg.diffusion.samplers import Chain
from mmdiffseg.models.dformer.mask_classification import MaskPrediction, average, class_scores
from mmdiffseg.models.dformer.mask_decoder import ImageContext, NoisyMaskDecoder
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.registry import MODELS

NOISE_SIZES = ('img', 'padded')


@MODELS.register_module()
class DFormerHead(DiffusionHead, NoisyMaskDecoder):
    """Head of DFormer (arXiv 2306.03437) for mmdet's plain ``Mask2Former``.

    Training fills Q slots with the image's masks and with random ones, corrupts them at a random
    time and asks the decoder for the masks and their classes, under Mask2Former's set loss.
    Inference starts from noise and repeats: decode, encode the masks found, step to a cleaner time.
    The image is encoded once.

    Args:
        label_encoder: Config of the encoder of masks.
        noise_schedule: Config of a discrete noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        steps: Sampling steps at test time.
        max_batch: Most images to denoise at once; None sets no bound.
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
        steps: int = 1,
        max_batch: int | None = None,
        noise_size: str = 'img',
        ensemble_steps: bool = False,
        seed: int = 0,
        **decoder,
    ) -> None:
        super().__init__(**decoder)
        if noise_size not in NOISE_SIZES:
            raise ValueError(f'noise_size must be one of {NOISE_SIZES}, got {noise_size!r}')
        self.build_diffusion(
            label_encoder=label_encoder,
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            steps=steps,
            generations=1,
            max_batch=max_batch,
            seed=seed,
        )
        self.noise_size = noise_size
        self.ensemble_steps = ensemble_steps

    def denoise(self, z_t: Tensor, t: Tensor, context: ImageContext) -> MaskPrediction:
        """Masks and classes for noisy signals (B, Q, h, w) at times (B,) or (1,)."""
        soft_masks = (self.label_encoder.to_soft_masks(signals) for signals in z_t)
        return self.decode(self.read(soft_masks, context), t, context)

    def prepare(self, feature: Sequence[Tensor], metas: Sequence[dict]) -> ImageContext:
        """See :meth:`DiffusionHead.prepare`; for the maps of the backbone."""
        return NoisyMaskDecoder.prepare(self, feature)

    def map_shape(self, feature: Sequence[Tensor], metas: Sequence[dict]) -> tuple[int, int, int]:
        """A signal for each query, of the size of the noise."""
        return (self.num_queries, *self._noise_size(feature, metas))

    def encode_output(self, output: MaskPrediction, size: tuple[int, int]) -> Tensor:
        """Encode the masks of a prediction to signals (B, Q, h, w)."""
        x0 = self.label_encoder.encode_output(output.masks)
        return F.interpolate(x0, size, mode='bilinear', align_corners=False)

    def probabilities(self, output: MaskPrediction) -> Tensor:
        """Class probabilities (B, K, H / 4, W / 4): the scores of all classes, made to sum to 1."""
        scores = class_scores(*output)
        return scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-6)

    def summarise(self, chains: Iterable[Chain], images: int) -> MaskPrediction:
        """The final prediction, or with ``ensemble_steps`` the mean over the steps."""
        seen = []
        for chain in chains:
            for step in chain:
                seen = [*seen, step.output] if self.ensemble_steps else [step.output]
        return average(seen)

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: list | None = None
    ) -> MaskPrediction:
        """Sample masks and classes from the backbone's maps."""
        metas = [sample.metainfo for sample in batch_data_samples or ()] or [{}] * len(x[0])
        return self.sample(x, metas)

    def loss(
        self,
        x: Sequence[Tensor],
        batch_data_samples: list,
        train_cfg: dict | None = None,
        *,
        draws: Draws | None = None,
    ) -> dict[str, Tensor]:
        """Mask2Former's set loss behind every layer, for masks corrupted at a random time.

        Args:
            x: The backbone's maps.
            batch_data_samples: Samples with the ground truth of the task.
            train_cfg: Unused, part of mmseg's interface.
            draws: For each image in turn integer ``t`` (1,), the random masks ``padding`` and the
                ``order`` of the slots (see :func:`fill_slots`), and normal ``eps`` (1, Q, H, W).
                The points of the loss are always drawn by torch's global generator.

        Returns:
            ``loss_cls``, ``loss_mask`` and ``loss_dice`` of the last layer, and of layer i as
            ``d{i}.loss_cls`` and so on.

        Raises:
            ValueError: A label is not in [0, C).
        """
        targets = self.make_targets(batch_data_samples)
        self._check_labels(targets)
        draws = draws or Draws()
        times = []

        def corrupted() -> Iterator[Tensor]:
            # One image at a time, in the released code's order of draws: its 100 masks in full
            # resolution and in float64 are nearly a gigabyte.
            for i, target in enumerate(targets):
                z_t, t = self._corrupt_masks(
                    target.masks.bool(), draws.select([i], of=len(targets))
                )
                times.append(t)
                yield self.label_encoder.to_soft_masks(z_t[0])

        context = self.prepare(x, ())
        reading = self.read(corrupted(), context)
        predictions = self.decode_every_layer(reading, torch.cat(times), context)
        metas = [sample.metainfo for sample in batch_data_samples]
        # 12544 points summed for the assignment are too much for half precision
        with torch.autocast(x[0].device.type, enabled=False):
            return self.loss_by_feat(*zip(*predictions, strict=True), targets, metas)

    def _corrupt_masks(self, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Corrupt the masks (n, H, W) of one image, in slots: z_t (1, Q, H, W) and t (1,)."""
        t = self.draw_times(1, draws, masks.device)
        slots = fill_slots(masks, self.num_queries, draws)
        x0 = self.label_encoder.encode(slots[None], draws)  # (1, Q, H, W)
        eps = draws.normal('eps', x0.shape, device=x0.device)
        return corrupt(x0, eps, *self.noise_schedule.alpha_sigma(t)), t

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
        draws: Draws | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sample masks and classes, for a fusion head.

        Args:
            x: The backbone's maps.
            batch_data_samples: Samples whose meta information names the images.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionHead.chains`.

        Returns:
            Class logits (B, Q, C + 1) and mask logits (B, Q, H, W) of the padded size.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        cls_scores, masks = self.sample(x, metas, steps=steps, draws=draws)
        size = tuple(metas[0]['batch_input_shape'])
        return cls_scores, F.interpolate(masks, size, mode='bilinear', align_corners=False)

    def sample(
        self,
        x: Sequence[Tensor],
        metas: Sequence[dict],
        *,
        steps: int | None = None,
        draws: Draws | None = None,
    ) -> MaskPrediction:
        """Run the chains.

        Args:
            x: The backbone's maps.
            metas: Meta information; it names the images and has their size without padding.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionHead.chains`.
        """
        predictions = [
            self.summarise(self.chains(*batch, steps=steps), len(batch[1]))
            for batch in self.batches(x, metas, draws)
        ]
        return MaskPrediction(*map(torch.cat, zip(*predictions, strict=True)))

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return inputs

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
        draws: Draws | None = None,
    ) -> Tensor:
        """Sample class scores (B, C, H, W) of the size of the input; no logits, but not negative.

        Args:
            x: The backbone's maps.
            batch_img_metas: Meta information, which names the images.
            test_cfg: Unused, part of mmseg's interface.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionHead.chains`.
        """
        cls_scores, masks = self.sample(x, batch_img_metas, steps=steps, draws=draws)
        return class_scores(cls_scores, self.predict_by_feat(masks, batch_img_metas))
