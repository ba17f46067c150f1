"""Samples of one network call, without a chain: pixel by pixel, and by MC dropout."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmdiffseg.diffusion.categorical_sampler import COUPLINGS
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Chain, Step
from mmdiffseg.models.layers.unet_blocks import repeat_images
from mmdiffseg.models.stochastic.head import StochasticHead
from mmdiffseg.models.stochastic.unet import Context
from mmdiffseg.registry import MODELS


class DirectHead(StochasticHead):
    """Draws samples from what a network says of the image; its chains have a single step.

    The network is the denoiser of the heads that diffuse, without a noisy map and always at time
    0, so that these baselines have its size. A subclass says how a sample is drawn, by
    :meth:`draw`.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        out_channels: Channels of the network's output.
        denoiser: Config of the network; the channel numbers are filled in.
        generations: Samples per image at test time.
        max_batch: Most maps at once; None sets no bound.
        seed: Seed of the samples.
        loss_decode: Config of the loss; None for a head with a loss of its own.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
    """

    #: of a chain, whatever is asked for
    steps = 1
    label_encoder = None

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        out_channels: int,
        denoiser: dict,
        generations: int,
        max_batch: int | None,
        seed: int,
        loss_decode: dict | None,
        ignore_index: int,
        align_corners: bool,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        self.set_generations(generations, max_batch=max_batch, seed=seed)
        self.build_denoiser(denoiser, in_channels=0, out_channels=out_channels)

    def run(self, context: Context, rows: int) -> Tensor:
        """What the network says of the images, float32 (rows, C, H, W), once per generation."""
        image = context.image
        nothing = image.new_zeros(rows, 0, *image.shape[2:])
        return self.denoiser(nothing, image.new_zeros(1), context).float()

    def draw(self, context: Any, rows: int, draws: Draws) -> Tensor:
        """Class probabilities (rows, K, H, W) of samples, all B images once per generation.

        Args:
            context: From :meth:`prepare`.
            rows: Number of samples, a multiple of B.
            draws: Their randomness.
        """
        raise NotImplementedError

    def map_shape(
        self, feature: Tensor | list[Tensor], metas: Sequence[dict]
    ) -> tuple[int, int, int]:
        """A sample has the size of the image."""
        return (self.num_classes, *self.image_size(feature))

    @torch.no_grad()
    def chain(
        self,
        context: Any,
        *,
        shape: Sequence[int],
        steps: int,
        draws: Draws,
        device: torch.device,
        start: None = None,
    ) -> Chain:
        """See :meth:`DiffusionHead.chain`; it has one step, whatever is asked for."""
        output = self.draw(context, shape[0], draws)
        yield Step(index=0, now=None, z_t=None, output=output, variance=None, encode=None)

    def probabilities(self, output: Tensor) -> Tensor:
        """What :meth:`draw` gives is probabilities."""
        return output

    def drawn(self, end: Step) -> Tensor:
        """See :meth:`StochasticHead.drawn`."""
        return end.output

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: dict,
        *,
        draws: Draws | None = None,
    ) -> dict:
        """Segmentation loss of the network's logits.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: Unused, part of mmseg's interface.
            draws: Unused.

        Returns:
            mmseg's ``loss_ce`` and ``acc_seg``.

        Raises:
            ValueError: See :meth:`labels`.
        """
        feature = self._transform_inputs(inputs)
        self.labels(batch_data_samples, feature)
        context = StochasticHead.prepare(self, feature, [])
        return self.loss_by_feat(self.run(context, len(batch_data_samples)), batch_data_samples)


@MODELS.register_module()
class PixelwiseHead(DirectHead):
    """Draws from a softmax in one call, every pixel by itself or all by one random number.

    By themselves, the marginals may be right and the masks are noise: the lower bound for every
    method that claims to draw whole masks. With the common coupling a mask of two classes is the
    probability map above a random threshold, a cheap baseline that is hard to beat where the
    answers lie within each other. Without a coupling nothing is drawn: a plain segmentation head,
    whose probabilities are the softmax.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        denoiser: Config of the network; the channel numbers are filled in.
        coupling: ``independent`` or ``common``, see :class:`CategoricalSampler`; None for the
            softmax itself, of which one generation is enough.
        generations: Samples per image at test time.
        max_batch: Most maps at once; None sets no bound.
        seed: Seed of the samples.
        loss_decode: Config of the loss.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        denoiser: dict = dict(type='mmdiffseg.CCDMUNet'),
        coupling: str | None = 'independent',
        generations: int = 16,
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict = dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            out_channels=num_classes,
            denoiser=denoiser,
            generations=generations,
            max_batch=max_batch,
            seed=seed,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )
        if coupling not in (*COUPLINGS, None):
            raise ValueError(f'coupling must be one of {COUPLINGS} or None, got {coupling!r}')
        self.coupling = coupling

    def prepare(self, feature: Tensor | list[Tensor], metas: Sequence[dict]) -> Tensor:
        """Logits (B, K, H, W), which all samples share."""
        return self.run(super().prepare(feature, metas), len(metas))

    def draw(self, context: Tensor, rows: int, draws: Draws) -> Tensor:
        """One-hot maps of the drawn classes, or the softmax; see :meth:`DirectHead.draw`."""
        logits = repeat_images(context, rows)
        if self.coupling is None:
            return logits.softmax(dim=1)
        if self.coupling == 'common':
            labels = draws.categorical('pixels', logits.softmax(dim=1), common=True)
        else:
            noise = draws.gumbel('pixels', logits.shape, device=logits.device)
            labels = (logits + noise).argmax(dim=1)  # a draw from the softmax
        return F.one_hot(labels, self.num_classes).permute(0, 3, 1, 2).float()


@MODELS.register_module()
class MCDropoutHead(DirectHead):
    """Draws a sample by leaving dropout on at test time (Gal & Ghahramani, 2016).

    A sample is the likeliest class of every pixel under one mask of dropout. Where dropout sits is
    our choice: in the two deepest levels of the decoder and before the output layer.

    Args:
        in_channels: Channels of the image, or of the image and of its features.
        num_classes: Number K of classes.
        denoiser: Config of the network; the channel numbers and the dropout are filled in.
        dropout: Dropout probability.
        generations: Samples per image at test time.
        max_batch: Most maps at once; None sets no bound.
        seed: Seed of the samples.
        loss_decode: Config of the loss.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        denoiser: dict = dict(type='mmdiffseg.CCDMUNet'),
        dropout: float = 0.5,
        generations: int = 16,
        max_batch: int | None = None,
        seed: int = 0,
        loss_decode: dict = dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
        ignore_index: int = 255,
        align_corners: bool = False,
    ) -> None:
        if not 0 < dropout < 1:
            raise ValueError(f'dropout must lie between 0 and 1, got {dropout}')
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            out_channels=num_classes,
            denoiser={**denoiser, 'decoder_dropout': dropout},
            generations=generations,
            max_batch=max_batch,
            seed=seed,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
        )

    def draw(self, context: Context, rows: int, draws: Draws) -> Tensor:
        """A softmax for every mask of dropout; see :meth:`DirectHead.draw`."""
        with drawn_dropout(self.denoiser, draws):
            return self.run(context, rows).softmax(dim=1)


@contextmanager
def drawn_dropout(network: nn.Module, draws: Draws) -> Iterator[None]:
    """Let a network in evaluation mode drop activations, by masks that are drawn by name."""

    def drop(name: str, module: nn.Dropout, inputs: tuple, output: Tensor) -> Tensor:
        kept = draws.uniform(name, output.shape, device=output.device) >= module.p
        return output * kept / (1 - module.p)

    hooks = [
        module.register_forward_hook(partial(drop, name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Dropout) and module.p > 0
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
