"""An EncoderDecoder that also returns what a diffusion head knows beyond its logits."""

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start
from mmdiffseg.diffusion.uncertainty import ChangeCount, PredictionSpread, Tracker
from mmdiffseg.registry import MODELS

#: reads maps (B, C, h, w) off the chains of a few images, by their features, names, draws, start
Read = Callable[[Sequence[Tensor], list[dict], Draws | None, Start | None], list[Tensor]]
MEASURES = ('change', *PredictionSpread.measures)


@MODELS.register_module()
class DiffusionEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with uncertainty maps and predictions at several step counts.

    Parameters and configs are those of the plain one. ``test_cfg.uncertainty`` names the measure:
    ``entropy`` of the averaged prediction (default: it ranks errors best), ``mutual_information``
    and ``variance`` of its parts (give the head several ``generations``), or ``change``, how often
    the class changes over the steps (the paper's picture, which ranks errors far worse).

    Example:
        >>> samples = model.predict(images, samples)
        >>> samples[0].pred_sem_seg.data.shape, samples[0].uncertainty.data.shape
        (torch.Size([1, 512, 683]), torch.Size([1, 512, 683]))
        >>> by_steps = model.predict_steps(images, samples, steps=(1, 3, 10))
    """

    def loss(
        self, inputs: Tensor, data_samples: SampleList, *, draws: Draws | None = None
    ) -> dict[str, Tensor]:
        """Losses of the decode head and of auxiliary heads, as in ``EncoderDecoder.loss``.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples.
            draws: Randomness of the decode head, see its ``loss``; drawn by default.
        """
        if draws is None:
            return super().loss(inputs, data_samples)
        features = self.extract_feat(inputs)
        losses = self.decode_head.loss(features, data_samples, self.train_cfg, draws=draws)
        losses = add_prefix(losses, 'decode')
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(features, data_samples))
        return losses

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        *,
        draws: Draws | None = None,
        start: Start | None = None,
        steps: int | None = None,
    ) -> SampleList:
        """Predict like ``EncoderDecoder.predict``, with ``uncertainty`` added to every sample.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, filled in place.
            draws: See :meth:`DiffusionHead.chains`; all windows of a sliding inference replay the
                same recorded tensors.
            start: A map of the size of the images that chains start from, in place of pure noise.
            steps: Sampling steps instead of those of the head.

        Returns:
            Samples with ``seg_logits``, ``pred_sem_seg`` and ``uncertainty`` (1, H, W) in [0, 1].
        """
        head = self.decode_head

        def read(features, metas, draws, start):
            tracker = self._tracker(len(metas))
            chains = tracker.watch(head.chains(features, metas, draws, start, steps=steps))
            return [head.summarise(chains, len(metas)), tracker.map()]

        channels = [head.out_channels, 1]
        output, uncertainty = self._read(inputs, data_samples, read, channels, draws, start)
        uncertainty = self._restore(uncertainty, data_samples)
        samples = self.postprocess_result(output, data_samples)
        for sample, map_ in zip(samples, uncertainty, strict=True):
            sample.uncertainty = PixelData(data=map_)
        return samples

    def predict_steps(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: Sequence[int] = (1, 3, 10),
        *,
        draws: Draws | None = None,
    ) -> dict[int, SampleList]:
        """Predict with several numbers of sampling steps, encoding the image once.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Step counts, each of which gets a chain of its own.
            draws: See :meth:`predict`.

        Returns:
            For each step count, new samples with ``seg_logits`` and ``pred_sem_seg``.
        """
        head = self.decode_head

        def read(features, metas, draws, start):
            return [
                head.summarise(head.chains(features, metas, draws, start, steps=count), len(metas))
                for count in steps
            ]

        channels = [head.out_channels] * len(steps)
        maps = self._read(inputs, data_samples, read, channels, draws)
        samples = [self._postprocess_copy(output, data_samples) for output in maps]
        return dict(zip(steps, samples, strict=True))

    def predict_trajectory(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: int | None = None,
        *,
        draws: Draws | None = None,
    ) -> list[SampleList]:
        """Predict after every step of one chain: the frames of a denoising film.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`predict`.

        Returns:
            For each step, new samples with ``seg_logits`` and ``pred_sem_seg`` of that step alone,
            also where the head accumulates over the steps.
        """
        head = self.decode_head
        steps = head.steps if steps is None else steps

        def read(features, metas, draws, start):
            frames = [0.0] * steps
            for chain in head.chains(features, metas, draws, start, steps=steps):
                for step in chain:
                    # (G B, K, h, w) -> (G, B, K, h, w), averaged over the generations
                    maps = head.class_maps(step.output)
                    outputs = maps.unflatten(0, (-1, len(metas))).sum(dim=0)
                    frames[step.index] = frames[step.index] + outputs / head.generations
            return frames

        maps = self._read(inputs, data_samples, read, [head.out_channels] * steps, draws)
        return [self._postprocess_copy(output, data_samples) for output in maps]

    def _read(
        self,
        inputs: Tensor,
        data_samples: OptSampleList,
        read: Read,
        channels: list[int],
        draws: Draws | None,
        start: Start | None = None,
    ) -> tuple[Tensor, ...]:
        """Take maps through mmseg's whole or sliding inference, to the size of the input.

        Both treat channels alike, so that any number of maps may ride along; the sliding one
        allocates ``out_channels`` of them. A copy of the model that shares all its parts does the
        work, so that this one stays as it is.
        """
        if data_samples is None:
            shape = inputs.shape[2:]
            metas = [dict(ori_shape=shape, img_shape=shape, pad_shape=shape)] * len(inputs)
        else:
            metas = [sample.metainfo for sample in data_samples]
        head = self.decode_head
        if start is not None:
            inputs = attach(inputs, start)

        def encode_decode(images: Tensor, metas: list[dict]) -> Tensor:
            given = None
            if start is not None:
                images, given = detach(images, start)
            parts = []
            for batch in head.batches(self.extract_feat(images), metas, draws, given):
                # with the names of all images: mmseg writes a window's size to the first alone
                maps = [head.predict_by_feat(map_, metas) for map_ in read(*batch)]
                parts.append(torch.cat(maps, dim=1))
            return torch.cat(parts)

        reader = copy.copy(self)
        reader.encode_decode = encode_decode
        reader.out_channels = sum(channels)
        return reader.inference(inputs, metas).split(channels, dim=1)

    def _tracker(self, images: int) -> Tracker:
        head = self.decode_head
        measure = self.test_cfg.get('uncertainty', 'entropy')
        if measure not in MEASURES:
            raise ValueError(f'test_cfg.uncertainty must be one of {MEASURES}, got {measure!r}')
        if measure == 'change':
            return ChangeCount(images, class_maps=head.class_maps)
        return PredictionSpread(
            images,
            measure=measure,
            probabilities=head.probabilities,
            every_step=bool(head.accumulation),
        )

    def _postprocess_copy(self, output: Tensor, data_samples: OptSampleList) -> SampleList:
        if data_samples is not None:
            data_samples = [sample.clone() for sample in data_samples]
        return self.postprocess_result(output, data_samples)

    def _restore(self, maps: Tensor, data_samples: OptSampleList) -> list[Tensor]:
        """Unpad, unflip and resize maps (B, C, H, W) as mmseg does with logits."""
        if data_samples is not None:
            data_samples = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
        # one channel more, because mmseg takes a single one for a binary logit and squashes it
        samples = self.postprocess_result(F.pad(maps, (0, 0, 0, 0, 0, 1)), data_samples)
        return [sample.seg_logits.data[:-1] for sample in samples]


def attach(images: Tensor, start: Start) -> Tensor:
    """Images with a start of their size as further channels, to be cut into windows together.

    Raises:
        ValueError: The start has another size.
    """
    if start.map.shape[-2:] != images.shape[-2:]:
        raise ValueError(
            f'a start of {tuple(start.map.shape[-2:])} pixels meets images of '
            f'{tuple(images.shape[-2:])}: resize it like the images, padding included'
        )
    keep = start.map.new_zeros(len(images), 0, *images.shape[-2:])
    if start.keep is not None:
        keep = start.keep[:, None]
    maps = start.map[:, None] if start.map.dim() == 3 else start.map
    return torch.cat([images, maps.to(images), keep.to(images)], dim=1)


def detach(images: Tensor, start: Start) -> tuple[Tensor, Start]:
    """Undo :func:`attach` for a window of its result."""
    labels, kept = start.map.dim() == 3, start.keep is not None
    channels = 1 if labels else start.map.shape[1]
    images, maps, keep = images.split(
        [images.shape[1] - channels - kept, channels, int(kept)], dim=1
    )
    return images, Start(
        map=maps[:, 0].long() if labels else maps,
        strength=start.strength,
        keep=keep[:, 0] > 0 if kept else None,
    )
