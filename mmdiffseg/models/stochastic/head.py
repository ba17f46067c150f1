"""What all heads share that draw whole masks."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList
from torch import Tensor

from mmdiffseg.diffusion.samplers import Chain, Step, last_step
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.labels import check_labels
from mmdiffseg.registry import MODELS


class StochasticHead(DiffusionHead, BaseDecodeHead):
    """Draws label maps of the size of the image; each generation is a sample.

    Its host is :class:`mmdiffseg.models.StochasticSegmentor`. A subclass says what the end of
    a chain means, by :meth:`drawn`, and builds its network by :meth:`build_denoiser`.

    Args:
        in_channels: Channels of the image, or of the image and of its features, where the backbone
            gives both.
        num_classes: Number K of classes.
        loss_decode: Config of the loss, for heads that have one of mmseg's.
        ignore_index: Label of the pixels that the loss leaves out.
        align_corners: How maps are resized.
    """

    def __init__(
        self,
        *,
        in_channels: int | Sequence[int],
        num_classes: int,
        loss_decode: dict | None,
        ignore_index: int,
        align_corners: bool,
    ) -> None:
        several = not isinstance(in_channels, int)
        super().__init__(
            in_channels=in_channels,
            channels=1,  # of the layer deleted below
            num_classes=num_classes,
            out_channels=num_classes,  # otherwise mmseg advises one channel for two classes
            dropout_ratio=0,
            in_index=tuple(range(len(in_channels))) if several else -1,
            input_transform='multiple_select' if several else None,
            loss_decode=loss_decode or dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=None,
        )
        del self.conv_seg  # the network makes the maps
        if loss_decode is None:
            del self.loss_decode
        self.needs_one_map = not several

    def build_denoiser(self, config: dict, *, in_channels: int, out_channels: int) -> None:
        """Build the network for noisy maps and outputs of so many channels."""
        image_channels, *features = [self.in_channels] if self.needs_one_map else self.in_channels
        if features:
            config = {
                **config,
                'feature_channels': features if len(features) > 1 else features[0],
            }
        self.denoiser = MODELS.build(
            {
                **config,
                'in_channels': in_channels,
                'out_channels': out_channels,
                'image_channels': image_channels,
            }
        )

    def prepare(self, feature: Tensor | list[Tensor], metas: Sequence[dict]) -> Any:
        """See :meth:`DiffusionHead.prepare`; for images (B, C, H, W), maybe with features."""
        return self.denoiser.prepare(*([feature] if self.needs_one_map else feature))

    def image_size(self, feature: Tensor | list[Tensor]) -> tuple[int, int]:
        """Size (H, W) of the images, and so of all maps."""
        image = feature if self.needs_one_map else feature[0]
        return tuple(image.shape[2:])

    def drawn(self, end: Step) -> Tensor:
        """Class probabilities (G B, K, H, W) of samples, from the last step of their chain."""
        raise NotImplementedError

    def generate(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Class probabilities (G, B, K, H, W) of every sample: where the chains end.

        Args:
            chains: From :meth:`chains`.
            images: Number B of images.
        """
        ends = [self.drawn(last_step(chain)) for chain in chains]
        return torch.cat(ends).unflatten(0, (-1, images))

    def summarise(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Mean class probabilities (B, K, H, W) of the samples."""
        return self.generate(chains, images).mean(dim=0)

    def summary_probabilities(self, summary: Tensor) -> Tensor:
        """See :meth:`DiffusionHead.summary_probabilities`; the summary is probabilities."""
        return summary

    def labels(self, batch_data_samples: SampleList, feature: Tensor | list[Tensor]) -> Tensor:
        """The true labels (B, H, W) of a batch.

        Raises:
            ValueError: They are outside [0, K) and not ignored, or of another size than the images.
        """
        labels = self._stack_batch_gt(batch_data_samples)[:, 0]
        if tuple(labels.shape[1:]) != self.image_size(feature):
            raise ValueError(
                f'labels of {tuple(labels.shape[1:])} pixels meet a feature of '
                f'{self.image_size(feature)}: {type(self).__name__} draws at full resolution, it '
                'needs a backbone that keeps it, such as mmdiffseg.IdentityBackbone'
            )
        check_labels(labels, self.num_classes, ignore_index=self.ignore_index)
        return labels
