"""SegDiff's decode head: masks by denoising them in pixel space, several times over."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.corruption import Preconditioner
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Chain, last_step
from mmdiffseg.diffusion.variational import learned_log_variance, variational_bound
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.labels import check_labels
from mmdiffseg.registry import MODELS

REDUCTIONS = ('sum', 'mean')


class Estimate(NamedTuple):
    """What the network says of a noisy mask.

    Attributes:
        raw: Its output, of the ``prediction_type`` (B, C, H, W).
        x0: The estimate of the clean mask that follows from it, same shape.
        variance: See :attr:`Step.variance`; None if it is not learned.
    """

    raw: Tensor
    x0: Tensor
    variance: Tensor | None


@MODELS.register_module()
class SegDiffHead(DiffusionHead, BaseDecodeHead):
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
        steps: Sampling steps at test time; None takes all of the schedule.
        generations: Generations per image at test time.
        prediction_type: What the network predicts: ``'eps'`` (as released), ``'x0'``,
            ``'v'`` or ``'velocity'``, see :class:`Preconditioner`.
        learn_variance: The network also learns the variance of its steps, which a DDPM sampler of
            ``learned_range`` uses.
        clip_denoised: Clamp each step's estimate of the mask to [-1, 1].
        loss_reduction: Squared errors are summed over the pixels (``'sum'``, as released) or
            averaged (``'mean'``: AdamW takes the same steps, and float16 does not overflow). With a
            learned variance they are averaged in either case, as released.
        max_batch: Most maps to denoise at once: generations, and images, beyond it run one after
            the other.
        seed: Seed of the test-time noise.
        in_index: Which output of the backbone to use; needed where there are several.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.

    Example:
        >>> head = SegDiffHead(in_channels=128, generations=9)
        >>> metas = [dict(img_path='a.jpg', img_shape=(128, 128), pad_shape=(128, 128))]
        >>> head.predict([torch.randn(1, 128, 128, 128)], metas, {}, steps=10).shape
        torch.Size([1, 2, 128, 128])
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
        steps: int | None = None,
        generations: int = 9,
        prediction_type: str = 'eps',
        learn_variance: bool = False,
        clip_denoised: bool = False,
        loss_reduction: str = 'sum',
        max_batch: int | None = None,
        seed: int = 0,
        in_index: int | None = None,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if num_classes < 2:
            raise ValueError(
                f'num_classes must be at least 2, got {num_classes}: a binary task has the classes '
                'background and object'
            )
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            num_classes=num_classes,
            out_channels=num_classes,
            dropout_ratio=0,
            loss_decode=dict(type='mmseg.CrossEntropyLoss'),  # in any scope; not used
            in_index=-1 if in_index is None else in_index,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        del self.conv_seg, self.loss_decode  # the denoiser makes the maps
        if loss_reduction not in REDUCTIONS:
            raise ValueError(f'loss_reduction must be one of {REDUCTIONS}, got {loss_reduction!r}')
        if 'reencode' in (label_encoder or {}):
            raise ValueError(
                f'SegDiff estimates codes, which nothing encodes again: leave out '
                f'reencode={label_encoder["reencode"]!r}'
            )
        if label_encoder is None:
            kind = 'BinaryMaskEncoder' if num_classes == 2 else 'OneHotEncoder'
            label_encoder = dict(type=kind, scale=1.0)
        self.build_diffusion(
            label_encoder={
                **label_encoder,
                'num_classes': num_classes,
                'ignore_index': ignore_index,
            },
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
        )
        self.preconditioner = Preconditioner(prediction_type, self.noise_schedule)
        learned = getattr(self.diffusion_sampler, 'variance', None) == 'learned_range'
        if learned and not learn_variance:
            raise ValueError(
                "a sampler of variance 'learned_range' needs a network with learn_variance=True"
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
        self.needs_one_map = in_index is None
        self.learn_variance = learn_variance
        self.clip_denoised = clip_denoised
        self.loss_reduction = loss_reduction

    def prepare(self, feature: Tensor, metas: Sequence[dict]) -> Any:
        """See :meth:`DiffusionHead.prepare`; for an image feature (B, in_channels, H, W)."""
        if getattr(self.denoiser, 'num_image_classes', None) is None:
            return self.denoiser.prepare(feature)
        return self.denoiser.prepare(feature, self._class_ids(metas, feature.device))

    def map_shape(self, feature: Tensor, metas: Sequence[dict]) -> tuple[int, int, int]:
        """The encoded map has the size of the feature, which is that of the image."""
        return (self.label_encoder.channels, *feature.shape[2:])

    def denoise(self, z_t: Tensor, t: Tensor, context: Any) -> Estimate:
        """What the network says of noisy masks (B, C, H, W) at times (B,) or (1,)."""
        # the sinusoids of the network are made for the times of long discrete chains
        time = t * 1000 if t.is_floating_point() else t
        output = self.denoiser(z_t, time, context).float()
        raw, *fraction = output.split(z_t.shape[1], dim=1)
        x0 = self.preconditioner.estimate(raw, z_t, *self.noise_schedule.alpha_sigma(t))
        return Estimate(raw, x0, (fraction[0] + 1) / 2 if fraction else None)

    def predict_step(self, z_t: Tensor, t: Tensor, context: Any) -> tuple[Tensor, Tensor | None]:
        """Maps of all classes (B, K, H, W) near -1 and +1, and the learned variance."""
        _, x0, variance = self.denoise(z_t, t, context)
        if self.clip_denoised:
            x0 = x0.clamp(-1, 1)
        return (torch.cat([-x0, x0], dim=1) if self.num_classes == 2 else x0), variance

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """The estimate of the mask (B, C, H, W) in the maps of all classes (B, K, H, W)."""
        return output[:, 1:] if self.num_classes == 2 else output

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities (B, K, H, W) of the maps of all classes near -1 and +1."""
        return self.mask_probabilities(self.encode_output(output, output.shape[2:]))

    def summary_probabilities(self, summary: Tensor) -> Tensor:
        """See :meth:`DiffusionHead.summary_probabilities`; more than two are made to sum to 1."""
        total = summary.sum(dim=1, keepdim=True)
        # a pixel that no class claims is open
        return torch.where(total > 0, summary / total, 1 / self.num_classes)

    def mask_probabilities(self, masks: Tensor) -> Tensor:
        """Class probabilities (..., K, H, W) of masks (..., C, H, W) near -1 and +1."""
        probs = ((masks / self.label_encoder.scale + 1) / 2).clamp(0, 1)
        if self.num_classes == 2:
            return torch.cat([1 - probs, probs], dim=-3)
        return probs

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Squared error of the prediction at a random time (paper, section 3).

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: Integer ``t`` (B,) and normal ``eps`` (B, C, H, W), in this order.

        Returns:
            ``loss_eps``; where the variance is learned also ``loss_vb``, in bits; and ``mse``, the
            mean squared error, for the log.

        Raises:
            ValueError: Labels outside [0, K) that are not ignored, or of another size than the
                feature.
        """
        feature = self._transform_inputs(inputs)
        labels = self._stack_batch_gt(batch_data_samples)[:, 0]  # (B, H, W)
        self._check_size(labels, feature)
        check_labels(labels, self.num_classes, ignore_index=self.ignore_index)
        x0 = self.label_encoder.encode(labels)  # (B, C, H, W)
        z_t, t, eps = self.corrupt(x0, draws or Draws())
        context = self.prepare(feature, [sample.metainfo for sample in batch_data_samples])
        raw, estimate, variance = self.denoise(z_t, t, context)
        target = self.preconditioner.target(x0, eps, *self.noise_schedule.alpha_sigma(t))

        valid = (labels != self.ignore_index)[:, None].expand_as(x0)
        error = (raw - target).square() * valid
        mse = mean_over(error, valid)
        losses = dict(mse=mse.detach())
        if self.learn_variance:
            log_variance = learned_log_variance(self.noise_schedule, t, variance)
            bound = variational_bound(
                self.noise_schedule, x0, z_t, t, estimate.detach(), log_variance
            )
            return dict(losses, loss_eps=mse, loss_vb=mean_over(bound * valid, valid))
        if self.loss_reduction == 'mean':
            return dict(losses, loss_eps=mse)
        return dict(losses, loss_eps=error.flatten(1).sum(dim=1).mean())

    def summarise(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Mean probabilities (B, K, H, W) of what the chains end in."""
        return self.mask_probabilities(self.generate(chains, images)).mean(dim=0)

    def generate(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Masks (G, B, C, H, W) near -1 and +1, as they leave the chains of some images."""
        masks = [last_step(chain).x0 for chain in chains]
        return torch.cat(masks).unflatten(0, (-1, images))

    def _class_ids(self, metas: Sequence[dict], device: torch.device) -> Tensor:
        """The ``image_class`` of each image (B,), for a network conditioned on it."""
        for meta in metas:
            if 'image_class' not in meta:
                raise ValueError(
                    f'a network with num_image_classes needs the class of {meta.get("img_path")}: '
                    "let the dataset set 'image_class' and PackSegInputs pass it in meta_keys"
                )
        return torch.tensor([meta['image_class'] for meta in metas], device=device)

    @staticmethod
    def _check_size(labels: Tensor, feature: Tensor) -> None:
        if labels.shape[1:] != feature.shape[2:]:
            raise ValueError(
                f'labels of {tuple(labels.shape[1:])} pixels meet a feature of '
                f'{tuple(feature.shape[2:])}: SegDiff denoises at full resolution, it needs a '
                'backbone that keeps it, such as mmdiffseg.RRDBNet'
            )


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of the values at valid places, of the same shape; 0 if there are none."""
    return values.sum() / valid.sum().clamp(min=1)
