"""DFormer's head: panoptic and instance segmentation by denoising a set of masks."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.mask_sets import fill_slots
from mmdiffseg.diffusion.samplers import Chain
from mmdiffseg.models.dformer.mask_classification import (
    MaskPrediction,
    average,
    gather_slots,
)
from mmdiffseg.models.dformer.mask_decoder import ImageContext, MaskReading, NoisyMaskDecoder
from mmdiffseg.models.dformer.mask_grid import GridDraws, MaskGrid
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.labels import check_labels
from mmdiffseg.registry import MODELS

NOISE_SIZES = ('img', 'padded')
Size = tuple[int, int]


@MODELS.register_module()
class DFormerHead(DiffusionHead, NoisyMaskDecoder):
    """Head of DFormer (arXiv 2306.03437) for mmdet's plain ``Mask2Former``.

    Training fills Q slots with the image's masks and with random ones, corrupts them at a random
    time and asks the decoder for the masks and their classes, under Mask2Former's set loss.
    Inference starts from noise and repeats: decode, encode the masks found, step to a cleaner time.
    The image is encoded once.

    The head is its own denoiser: mmdet's head holds the decoder's parameters, and their names in
    checkpoints are mmdet's. It takes all settings of mmdet's head under their names.

    Args:
        in_channels: Channels of the backbone's maps.
        feat_channels: Width C of the decoder.
        out_channels: Channels of the pixel features.
        pixel_decoder: Config of the pixel decoder; channels and strides are filled in.
        transformer_decoder: Config of mmdet's ``Mask2FormerTransformerDecoder``.
        num_things_classes: Number of classes whose objects are counted.
        num_stuff_classes: Number of the other classes, numbered after the things.
        num_queries: Number Q of slots for a mask.
        label_encoder: Config of the encoder of masks.
        noise_schedule: Config of a discrete noise schedule.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        steps: Sampling steps at test time.
        generations: Generations per image at test time. Their slots stand side by side, so that a
            semantic result averages them; for panoptic and instance results keep it at 1.
        ensemble_steps: Average class and mask probabilities over the steps (not in the release).
        max_batch: Most images to denoise at once; None sets no bound.
        noise_size: ``'img'``: an image's noise has its size without padding and is stretched over
            the padding, as in the released code. ``'padded'``: it has the size of the batch.
        seed: Seed of the test-time noise.
        time_modulation: ``'all'``: the time modulates the queries after every layer, as in the
            released code; ``'first'``: after the first layer only, as it did shortly before.
        positional_encoding: Config of mmdet's ``SinePositionalEncoding``.
        loss_cls: Config of the classification loss; by default no object weighs 0.1.
        loss_mask: Config of the cross-entropy of the masks.
        loss_dice: Config of the dice loss.
        num_transformer_feat_level: Number of maps that the decoder attends to.
        enforce_decoder_input_project: Project these maps even where their width fits.
        strides: Of the backbone's maps.
        train_cfg: Assigner, sampler and numbers of points, as in mmdet.
        test_cfg: Unused by the head, part of mmdet's interface.
        init_cfg: mmengine's initialisation of a whole module.

    Example:
        >>> losses = head.loss(features, samples)
        >>> cls_scores, masks = head.predict(features, samples, steps=4)
        >>> cls_scores.shape, masks.shape
        (torch.Size([2, 100, 134]), torch.Size([2, 100, 800, 1344]))
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        pixel_decoder: dict,
        transformer_decoder: dict,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        num_queries: int = 100,
        label_encoder: dict = dict(type='MaskSetEncoder', scale=0.1),
        noise_schedule: dict = dict(type='CosineBetas', num_timesteps=1000),
        diffusion_sampler: dict = dict(type='DDIMSampler', spacing='trailing_truncated', eta=1.0),
        steps: int = 1,
        generations: int = 1,
        ensemble_steps: bool = False,
        max_batch: int | None = None,
        noise_size: str = 'img',
        seed: int = 0,
        time_modulation: str = 'all',
        positional_encoding: dict = dict(num_feats=128, normalize=True),
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss', loss_weight=2.0),
        loss_mask: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
        loss_dice: dict = dict(type='mmdet.DiceLoss', naive_dice=True, eps=1.0, loss_weight=5.0),
        num_transformer_feat_level: int = 3,
        enforce_decoder_input_project: bool = False,
        strides: Sequence[int] = (4, 8, 16, 32),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if noise_size not in NOISE_SIZES:
            raise ValueError(f'noise_size must be one of {NOISE_SIZES}, got {noise_size!r}')
        class_weight = [1.0] * (num_things_classes + num_stuff_classes) + [0.1]
        super().__init__(
            time_modulation=time_modulation,
            in_channels=in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            num_queries=num_queries,
            num_transformer_feat_level=num_transformer_feat_level,
            pixel_decoder=ConfigDict(pixel_decoder, strides=strides),
            enforce_decoder_input_project=enforce_decoder_input_project,
            transformer_decoder=ConfigDict(transformer_decoder),
            positional_encoding=positional_encoding,
            loss_cls=ConfigDict({'class_weight': class_weight, **loss_cls}),
            loss_mask=loss_mask,
            loss_dice=loss_dice,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
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
        self.strides = strides
        self.noise_size = noise_size
        self.ensemble_steps = ensemble_steps

    def loss(
        self,
        x: Sequence[Tensor],
        batch_data_samples: list,
        train_cfg: dict | None = None,
        *,
        draws: Draws | None = None,
    ) -> dict[str, Tensor]:
        """Mask2Former's set loss after every layer, for masks corrupted at a random time.

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
            ValueError: A label is not in [0, K), or the masks have not been padded like the images.
        """
        targets = self.make_targets(batch_data_samples)
        check_labels(torch.cat([target.labels for target in targets]), self.num_classes)
        context = self.prepare_images(x, [target.masks.shape[-2:] for target in targets])
        draws, images = draws or Draws(), len(targets)
        # one by one: the 100 masks of an image are half a gigabyte in full resolution
        noisy = [
            self.corrupt_masks(
                target.masks.bool(), context.grid.select([i]), draws.select([i], of=images)
            )
            for i, target in enumerate(targets)
        ]
        z_t, t = (torch.cat(values) for values in zip(*noisy, strict=True))
        predictions = self.decode_every_layer(self.read_signals(z_t, context), t, context)
        metas = [sample.metainfo for sample in batch_data_samples]
        # 12544 points summed for the assignment are too much for half precision
        with torch.autocast(x[0].device.type, enabled=False):
            return self.loss_by_feat(*zip(*predictions, strict=True), targets, metas)

    def corrupt_masks(self, masks: Tensor, grid: MaskGrid, draws: Draws) -> tuple[Tensor, Tensor]:
        """Corrupt the masks of one image, in slots, at a random time.

        The draws come in the order of the released code.

        Args:
            masks: Masks (n, H, W), boolean.
            grid: Which of their pixels the decoder reads.
            draws: See :meth:`loss`.

        Returns:
            z_t on the grid (1, Q, n, m), and t (1,).
        """
        t = self.draw_times(1, draws, masks.device)
        slots = fill_slots(masks, self.num_queries, draws)
        draws = GridDraws(draws, grid)
        x0 = self.label_encoder.encode(grid.pick(slots, image=0)[None], draws)
        eps = draws.normal('eps', x0.shape, device=x0.device)
        # in float64, as the schedule is
        return corrupt(x0, eps, *self.noise_schedule.alpha_sigma(t)), t

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

    def get_targets(
        self,
        cls_scores_list: list[Tensor],
        mask_preds_list: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
    ) -> tuple:
        """Match one layer's predictions, as mmdet does, and count the masks as the release does.

        The count divides the mask losses. It is the number of all masks of the batch; mmdet counts
        one mask for an image without any, and at most as many as there are queries.
        """
        *targets, _ = super().get_targets(
            cls_scores_list, mask_preds_list, batch_gt_instances, batch_img_metas
        )
        return (*targets, sum(len(target.labels) for target in batch_gt_instances))

    # inference

    def prepare(self, feature: Sequence[Tensor], metas: Sequence[dict]) -> ImageContext:
        """See :meth:`DiffusionHead.prepare`; for the maps of the backbone."""
        padded = self.map_shape(feature, metas)[1:]
        return self.prepare_images(feature, [self.mask_size(meta, padded) for meta in metas])

    def map_shape(self, feature: Sequence[Tensor], metas: Sequence[dict]) -> tuple[int, int, int]:
        """A mask for each query, of the size of the padded images."""
        h, w = feature[0].shape[2:]
        return (self.num_queries, h * self.strides[0], w * self.strides[0])

    def mask_size(self, meta: dict, padded: Size) -> Size:
        """Height and width of the noise of an image whose padded size is given."""
        h, w = meta.get('img_shape', padded)[:2]
        # a window of an image may be smaller than the image
        if self.noise_size == 'padded' or h > padded[0] or w > padded[1]:
            return padded
        return h, w

    def noise_name(self, meta: dict, size: Size, generation: int) -> str:
        """See :meth:`DiffusionHead.noise_name`; the noise has a size of its own."""
        return super().noise_name(meta, self.mask_size(meta, size), generation)

    def chain(
        self,
        context: ImageContext,
        *,
        shape: Sequence[int],
        steps: int,
        draws: Draws,
        device: torch.device,
        start: None = None,
    ) -> Chain:
        """See :meth:`DiffusionHead.chain`; the maps lie on the grid that the decoder reads."""
        rows, queries, *_ = shape
        context = context.repeat(rows // len(context.pixel_features))
        return self.diffusion_sampler.walk(
            lambda z_t, t: (self.denoise(z_t, t, context), None),
            lambda output: context.grid.spread(self.label_encoder.encode_output(output.masks)),
            shape=(rows, queries, *context.grid.shape),
            steps=steps,
            draws=GridDraws(draws, context.grid),
            device=device,
        )

    def denoise(self, z_t: Tensor, t: Tensor, context: ImageContext) -> MaskPrediction:
        """Masks and classes for noisy masks on the grid (G B, Q, n, m) at times (G B,) or (1,)."""
        return self.decode(self.read_signals(z_t, context), t, context)

    def read_signals(self, z_t: Tensor, context: ImageContext) -> MaskReading:
        """What the decoder sees of noisy masks on the grid (B, Q, n, m)."""
        return self.read(self.label_encoder.to_soft_masks(z_t), context)

    def summarise(self, chains: Iterable[Chain], images: int) -> MaskPrediction:
        """Take what each chain ends in, or with ``ensemble_steps`` the mean over its steps.

        Returns:
            The slots of all generations side by side (B, G Q, ...).
        """
        ends = []
        for chain in chains:
            outputs = []
            for step in chain:
                if not self.ensemble_steps:
                    outputs.clear()
                outputs.append(step.output)
            ends.append(average(outputs))
        return gather_slots(ends, images)

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
            draws: See :meth:`DiffusionHead.chains`; recorded noise has the size ``noise_size``.

        Returns:
            Class logits (B, Q, K + 1) and mask logits (B, Q, H, W) of the padded size.
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
            draws: See :meth:`predict`.
        """
        predictions = [
            self.summarise(self.chains(*batch, steps=steps), len(batch[1]))
            for batch in self.batches(x, metas, draws)
        ]
        return MaskPrediction(*map(torch.cat, zip(*predictions, strict=True)))

    def forward(
        self, x: Sequence[Tensor], batch_data_samples: list | None = None
    ) -> MaskPrediction:
        """Sample masks and classes from the backbone's maps."""
        metas = [sample.metainfo for sample in batch_data_samples or ()] or [{}] * len(x[0])
        return self.sample(x, metas)

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return inputs
