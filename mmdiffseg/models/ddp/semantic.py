"""DDP's decode head: semantic segmentation by denoising an encoded label map."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.corruption import corrupt
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Chain, last_step
from mmdiffseg.models.ddp.head import DDPBaseHead, check_sample_range
from mmdiffseg.models.labels import check_labels
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
        steps: Sampling steps at test time.
        generations: Generations per image at test time, averaged.
        accumulation: False returns the last step's logits; ``'prob'`` the class probabilities
            averaged over all steps, in the place of logits (the authors' ADE20K setting).
        sample_range: Range of the training times. Sampling stays within it; the released code
            starts outside, at 1: ``diffusion_sampler=dict(..., t_max=1.0)``.
        self_aligned: Train on the model's own prediction from pure noise instead of the ground
            truth (the paper's self-aligned denoising, for the last iterations).
        max_batch: Most maps to denoise at once: generations, and images, beyond it run one after
            the other.
        seed: Seed of the test-time noise.
        loss_decode: Config of the loss on the logits.
        in_index: Which output of the neck or backbone to use; needed where there are several.
        input_transform: None for one map, ``'resize_concat'`` to join several as mmseg does.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How logits are resized.

    Example:
        >>> head = DDPHead(in_channels=256, num_classes=19)
        >>> metas = [dict(img_path='a.jpg', img_shape=(512, 512), pad_shape=(512, 512))]
        >>> head.predict([torch.randn(1, 256, 128, 128)], metas, {}, steps=3).shape
        torch.Size([1, 19, 512, 512])
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
        steps: int = 3,
        generations: int = 1,
        accumulation: bool | str = False,
        sample_range: tuple[float, float] = (0.0, 0.999),
        self_aligned: bool = False,
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict | Sequence[dict] = dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0),
        in_index: int | Sequence[int] | None = None,
        input_transform: str | None = None,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if accumulation not in (False, 'prob'):
            raise ValueError(f"accumulation must be False or 'prob', got {accumulation!r}")
        if self_aligned not in (False, True):
            raise ValueError(f'self_aligned must be True or False, got {self_aligned!r}')
        if 'type' not in label_encoder:
            raise ValueError(
                f'label_encoder={dict(label_encoder)} names no type, such as ClassEmbeddingEncoder'
            )
        if LABEL_ENCODERS.get(label_encoder['type']).learned:
            label_encoder = {'channels': channels, **label_encoder}
        check_sample_range(sample_range)
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
            diffusion_sampler={
                't_min': sample_range[0],
                't_max': sample_range[1],
                **diffusion_sampler,
            },
            denoiser=denoiser,
            steps=steps,
            generations=generations,
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
        draws: Draws | None = None,
    ) -> dict:
        """Segmentation loss of one denoising step at a random time.

        Args:
            inputs: Features of the neck.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: Uniform ``t`` (B,) and normal ``eps`` (B, C, h, w); the other way round in the
                self-aligned stage, as in the released code.

        Returns:
            mmseg's ``loss_ce`` and ``acc_seg``.

        Raises:
            ValueError: Labels outside [0, K) that are not ignored.
        """
        draws = draws or Draws()
        feature = self._transform_inputs(inputs)
        labels = self._stack_batch_gt(batch_data_samples)  # (B, 1, H, W)
        check_labels(labels, self.num_classes, ignore_index=self.ignore_index)
        context = self.denoiser.prepare(feature)
        if self.self_aligned:
            z_t, t = self._corrupt_own(feature, context, draws)
        else:
            labels = F.interpolate(labels.float(), size=feature.shape[2:], mode='nearest')
            z_t, t, _ = self.corrupt(self.label_encoder.encode(labels.long()[:, 0]), draws)
        return self.loss_by_feat(self.denoise(z_t, t, context), batch_data_samples)

    def generate(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Class probabilities (G, B, K, h, w) where every chain ends, for ``StochasticSegmentor``.

        Args:
            chains: From :meth:`chains`.
            images: Number B of images.
        """
        ends = [self.probabilities(last_step(chain).output) for chain in chains]
        return torch.cat(ends).unflatten(0, (-1, images))

    def _corrupt_own(self, feature: Tensor, context: tuple, draws: Draws) -> tuple[Tensor, Tensor]:
        """Corrupt what the model finds in pure noise, with the same noise: z_t and t.

        The decoding has no gradient, but the table of the label encoder still learns through it.
        """
        shape = (len(feature), *self.map_shape(feature, ()))
        eps = draws.normal('eps', shape, device=feature.device)
        t = self.draw_times(len(feature), draws, feature.device)
        with torch.no_grad():
            labels = self.denoise(eps, torch.ones_like(t), context).argmax(dim=1)
        # older torch would use the half-precision weights cast here, which have no gradient
        torch.clear_autocast_cache()
        x0 = self.label_encoder.encode(labels)
        return corrupt(x0, eps, *self.noise_schedule.alpha_sigma(t)), t
