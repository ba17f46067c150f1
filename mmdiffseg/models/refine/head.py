"""SegRefiner's head: the true mask from an image and a mask that is partly coarse."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import last_step
from mmdiffseg.diffusion.start import Start
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.labels import check_labels
from mmdiffseg.models.refine.loss import texture_loss
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MaskRefineHead(DiffusionHead, BaseDecodeHead):
    """Head of SegRefiner (Wang et al., 2023, arXiv 2312.12425), for crops around one object.

    Training shows the network a mask whose pixels are drawn from the true and from the coarse mask,
    and asks it for the true one. Inference starts from a coarse mask, whoever made it. Its output
    are the logits of background and object, minus and plus one half of what the network says.

    Args:
        in_channels: Channels of the image, or of the image and of its features, where the backbone
            gives both.
        noise_schedule: Config of the schedule, a :class:`TwoStateDiffusion`.
        diffusion_sampler: Config of the sampler; the schedule is filled in.
        denoiser: Config of the network; the channel numbers are filled in.
        steps: Sampling steps at test time; None takes all of the schedule.
        generations: Chains per object at test time, whose probabilities are averaged.
        texture_weight: Weight of the texture loss.
        own_share: Probability that a training mask shows, in place of the truth, what the network
            says itself and is sure of, as the masks of a chain do. At 0, as released, the network
            learns to trust every label that it is shown, and repeats its own errors in a chain.
        max_batch: Most crops to denoise at once; None sets no bound.
        seed: Seed of the test-time draws.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.

    Example:
        >>> head = MaskRefineHead(denoiser=dict(
        ...     type='mmdiffseg.SegDiffUNet', fusion='input_concat', time_table=6))
        >>> chains = head.chains([crops], [dict(sample_id=str(i)) for i in range(len(crops))],
        ...                      start=Start(map=masks))
        >>> head.summarise(chains, len(crops)).shape  # probabilities of background and object
        torch.Size([8, 2, 256, 256])
    """

    accumulation = False

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int] = 3,
        noise_schedule: dict = dict(type='TwoStateDiffusion'),
        diffusion_sampler: dict = dict(type='TwoStateSampler'),
        denoiser: dict,
        steps: int | None = None,
        generations: int = 1,
        texture_weight: float = 5.0,
        own_share: float = 0.0,
        max_batch: int | None = 32,
        seed: int = 0,
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if not 0 <= own_share <= 1:
            raise ValueError(f'own_share is a probability in [0, 1], got {own_share}')
        several = not isinstance(in_channels, int)
        super().__init__(
            in_channels=in_channels,
            in_index=tuple(range(len(in_channels))) if several else -1,
            input_transform='multiple_select' if several else None,
            channels=1,  # of the layer deleted below
            num_classes=2,
            out_channels=2,
            dropout_ratio=0,
            loss_decode=dict(type='mmseg.CrossEntropyLoss'),  # in any scope; not used
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        del self.conv_seg, self.loss_decode  # the denoiser makes the maps
        self.build_diffusion(
            label_encoder=None,
            noise_schedule=noise_schedule,
            diffusion_sampler=diffusion_sampler,
            steps=steps,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
        )
        inputs = dict(feature_channels=in_channels)
        if several:
            inputs = dict(image_channels=in_channels[0], feature_channels=in_channels[1:])
        self.denoiser = MODELS.build({**denoiser, **inputs, 'in_channels': 1, 'out_channels': 1})
        self.several = several
        self.texture_weight = texture_weight
        self.own_share = own_share

    def prepare(self, feature: Tensor | list[Tensor], metas: Sequence[dict]) -> Any:
        """See :meth:`DiffusionHead.prepare`; for crops (B, C, H, W), maybe with features."""
        return self.denoiser.prepare(*(feature if self.several else [feature]))

    def map_shape(self, feature: Tensor | list[Tensor], metas: Sequence[dict]) -> tuple:
        """A mask (1, H, W) has the size of its crop."""
        image = feature[0] if self.several else feature
        return (1, *image.shape[2:])

    def denoise(self, z_t: Tensor, t: Tensor, context: Any) -> Tensor:
        """Logits (G B, 2, H, W), float32, for masks (G B, 1, H, W) at times (G B,) or (1,)."""
        half = self.denoiser(z_t, t, context).float() / 2
        return torch.cat([-half, half], dim=1)

    def encode_start(self, start: Start, size: tuple[int, int]) -> Start:
        """Coarse masks (B, h, w) of 0 and 1 as a network sees them."""
        return Start(map=start.map[:, None].float(), strength=start.strength, keep=start.keep)

    def encode_output(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """Probability (G B, 1, H, W) of the object."""
        return self.noise_schedule.encode_output(output)

    def probabilities(self, output: Tensor) -> Tensor:
        """Probabilities (G B, 2, H, W) of background and object."""
        return output.softmax(dim=1)

    def summarise(self, chains, images: int) -> Tensor:
        """Mean probabilities (B, 2, H, W) of background and object where the chains end."""
        return self.generate(chains, images).mean(dim=0)

    def generate(self, chains, images: int) -> Tensor:
        """Probabilities (G, B, 2, H, W) where the chains of some crops end."""
        fine = torch.cat([last_step(chain).x0 for chain in chains])  # (G B, 1, H, W)
        return torch.cat([1 - fine, fine], dim=1).unflatten(0, (-1, images))

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Cross-entropy and texture loss at a random time.

        Args:
            inputs: The crops (B, in_channels, H, W), alone in a sequence.
            batch_data_samples: Samples with ``gt_sem_seg`` and ``coarse_sem_seg`` (1, H, W) of 0
                and 1, and maybe ignored pixels in the first.
            train_cfg: Unused, part of mmseg's interface.
            draws: Integer ``t`` (B,) and uniform ``eps`` (B, 1, H, W), in this order; with
                ``own_share`` then uniform ``own`` (B, 1, 1, 1).

        Returns:
            ``loss_mask``, ``loss_texture``, and ``iou`` of the prediction for the log.

        Raises:
            ValueError: Labels other than 0, 1 and ``ignore_index``.
        """
        draws = draws or Draws()
        feature = self._transform_inputs(inputs)
        truth = self._stack_batch_gt(batch_data_samples)  # (B, 1, H, W)
        coarse = torch.stack([s.coarse_sem_seg.data for s in batch_data_samples])
        check_labels(truth, 2, ignore_index=self.ignore_index)
        check_labels(coarse, 2)
        valid = truth != self.ignore_index
        coarse = coarse.float()
        truth = torch.where(valid, truth.float(), coarse)
        t = self.draw_times(len(truth), draws, truth.device)
        uniform = draws.uniform('eps', truth.shape, device=truth.device)
        z_t = self.noise_schedule.corrupt(truth, coarse, t, uniform)
        context = self.prepare(feature, [s.metainfo for s in batch_data_samples])
        if self.own_share:
            own = draws.uniform('own', (len(t), 1, 1, 1), device=truth.device) < self.own_share
            z_t = torch.where(own, self._shown(coarse, t, uniform, context), z_t)
        logits = 2 * self.denoise(z_t, t, context)[:, 1:]
        probs = logits.sigmoid()
        loss_mask = F.binary_cross_entropy_with_logits(logits, truth, reduction='none')
        found, true = (logits >= 0) & valid, (truth > 0) & valid
        return dict(
            loss_mask=(loss_mask * valid).sum() / valid.sum().clamp(min=1),
            loss_texture=self.texture_weight * texture_loss(probs, truth, valid),
            iou=(found & true).sum() / (found | true).sum().clamp(min=1),
        )

    @torch.no_grad()
    def _shown(self, coarse: Tensor, t: Tensor, uniform: Tensor, context: Any) -> Tensor:
        """The masks (B, 1, H, W) at times t (B,) of chains that get there in one step."""
        coarsest = t.new_full((1,), self.noise_schedule.num_timesteps - 1)
        x0 = self.noise_schedule.encode_output(self.denoise(coarse, coarsest, context))
        fine = self.noise_schedule.posterior((2 * x0 - 1).abs(), coarsest, t)
        return torch.where(uniform < fine, (x0 >= 0.5).to(coarse), coarse)
