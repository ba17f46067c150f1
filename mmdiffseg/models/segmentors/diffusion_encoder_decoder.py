"""An EncoderDecoder that also returns what a diffusion head knows beyond its logits."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.samplers import Step
from mmdiffseg.diffusion.uncertainty import ChangeCount, GenerationSpread
from mmdiffseg.registry import MODELS

Decode = Callable[[Sequence[Tensor], list[dict]], list[Tensor]]


@MODELS.register_module()
class DiffusionEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with uncertainty maps and predictions at several step counts.

    Parameters and configs are those of the plain one. ``test_cfg.uncertainty`` names the measure:
    ``change`` (default, over the steps), or ``entropy``, ``mutual_information`` and ``variance``
    (over the generations; give the head ``randsteps`` > 1).
    """

    #: what to decode while one of the methods below is at work
    _decode: Decode | None = None

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict like ``EncoderDecoder.predict``, with ``uncertainty`` added to every sample.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, filled in place.

        Returns:
            Samples with ``seg_logits``, ``pred_sem_seg`` and ``uncertainty`` (1, H, W) in [0, 1].
        """
        head = self.decode_head

        def decode(feature: Sequence[Tensor], metas: list[dict]) -> list[Tensor]:
            tracker = self._tracker(len(metas))
            logits = head.predict(feature, metas, self.test_cfg, callback=tracker)
            return [logits, head.predict_by_feat(tracker.map(), metas)]

        logits, uncertainty = self._infer(inputs, data_samples, decode, [head.out_channels, 1])
        uncertainty = self._restore(uncertainty, data_samples)
        samples = self.postprocess_result(logits, data_samples)
        for sample, map_ in zip(samples, uncertainty, strict=True):
            sample.uncertainty = PixelData(data=map_)
        return samples

    def predict_steps(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: Sequence[int] = (1, 3, 10),
    ) -> dict[int, SampleList]:
        """Predict with several numbers of sampling steps, encoding the image once.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Step counts, each of which gets a chain of its own.

        Returns:
            For each step count, new samples with ``seg_logits`` and ``pred_sem_seg``.
        """
        head = self.decode_head

        def decode(feature: Sequence[Tensor], metas: list[dict]) -> list[Tensor]:
            return [head.predict(feature, metas, self.test_cfg, steps=count) for count in steps]

        maps = self._infer(inputs, data_samples, decode, [head.out_channels] * len(steps))
        samples = [self._postprocess_copy(logits, data_samples) for logits in maps]
        return dict(zip(steps, samples, strict=True))

    def predict_trajectory(
        self, inputs: Tensor, data_samples: OptSampleList = None, steps: int | None = None
    ) -> list[SampleList]:
        """Predict after every step of one chain: the frames of a denoising film.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Length of the chain instead of the head's ``timesteps``.

        Returns:
            For each step, new samples with ``seg_logits`` and ``pred_sem_seg``: of that step alone,
            also where the head accumulates over the steps.
        """
        head = self.decode_head
        steps = head.timesteps if steps is None else steps

        def decode(feature: Sequence[Tensor], metas: list[dict]) -> list[Tensor]:
            frames = [0.0] * steps

            def keep(step: Step) -> None:
                # (G * B, K, h, w) -> (G, B, K, h, w), averaged over the generations
                logits = step.logits.unflatten(0, (-1, len(metas))).sum(dim=0)
                frames[step.index] = frames[step.index] + logits / head.randsteps

            head.predict(feature, metas, self.test_cfg, steps=steps, callback=keep)
            return [head.predict_by_feat(frame, metas) for frame in frames]

        maps = self._infer(inputs, data_samples, decode, [head.out_channels] * steps)
        return [self._postprocess_copy(logits, data_samples) for logits in maps]

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits, or while more maps are asked for, all of them concatenated on the channels."""
        if self._decode is None:
            return super().encode_decode(inputs, batch_img_metas)
        return torch.cat(self._decode(self.extract_feat(inputs), batch_img_metas), dim=1)

    def _infer(
        self, inputs: Tensor, data_samples: OptSampleList, decode: Decode, channels: list[int]
    ) -> tuple[Tensor, ...]:
        """Run ``decode`` through mmseg's whole or sliding inference.

        Both treat the channels alike, so any number of maps may ride along; the sliding one
        allocates ``out_channels`` of them.
        """
        if data_samples is None:
            shape = inputs.shape[2:]
            metas = [dict(ori_shape=shape, img_shape=shape, pad_shape=shape)] * len(inputs)
        else:
            metas = [sample.metainfo for sample in data_samples]
        self._decode, self.out_channels = decode, sum(channels)
        try:
            maps = self.inference(inputs, metas)
        finally:
            self._decode, self.out_channels = None, self.decode_head.out_channels
        return maps.split(channels, dim=1)

    def _tracker(self, images: int) -> ChangeCount | GenerationSpread:
        measure = self.test_cfg.get('uncertainty', 'change')
        if measure == 'change':
            return ChangeCount(images)
        return GenerationSpread(images, steps=self.decode_head.timesteps, measure=measure)

    def _postprocess_copy(self, logits: Tensor, data_samples: OptSampleList) -> SampleList:
        if data_samples is not None:
            data_samples = [sample.clone() for sample in data_samples]
        return self.postprocess_result(logits, data_samples)

    def _restore(self, maps: Tensor, data_samples: OptSampleList) -> list[Tensor]:
        """Unpad, unflip and resize maps (B, C, H, W) as mmseg does with logits."""
        if data_samples is not None:
            data_samples = [SegDataSample(metainfo=sample.metainfo) for sample in data_samples]
        # one channel more, because mmseg takes a single one for a binary logit and squashes it
        samples = self.postprocess_result(F.pad(maps, (0, 0, 0, 0, 0, 1)), data_samples)
        return [sample.seg_logits.data[:-1] for sample in samples]
