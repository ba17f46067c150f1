"""SegDiff's segmentor: the mean and the spread of several generated masks."""

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start
from mmdiffseg.models.segmentors.diffusion_encoder_decoder import DiffusionEncoderDecoder
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class SegDiff(DiffusionEncoderDecoder):
    """An ``EncoderDecoder`` around a :class:`SegDiffHead`, with the paper's way to combine masks.

    The raw masks of all generations are averaged over sliding windows (``test_cfg.mode='slide'``),
    resized to the original image, clamped to probabilities, and only then averaged; foreground is
    where the mean exceeds ``test_cfg.threshold`` (0.5). With more than two classes the largest
    mean wins.

    Example:
        >>> samples = model.predict(images, samples)
        >>> samples[0].seg_prob.data.shape, samples[0].uncertainty.data.shape
        (torch.Size([1, 512, 683]), torch.Size([1, 512, 683]))
        >>> masks = model.generate(images, samples, steps=25)[0]  # (G, K, 512, 683)
    """

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        *,
        draws: Draws | None = None,
        start: Start | None = None,
        steps: int | None = None,
    ) -> SampleList:
        """Predict, with the probability and the spread of the generations.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, filled in place.
            draws: See :meth:`DiffusionEncoderDecoder.predict`.
            start: See :meth:`DiffusionEncoderDecoder.predict`.
            steps: Sampling steps instead of those of the head.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W); ``samples``, the label maps of the generations
            (G, H, W); ``seg_logits``, the mean probabilities (K, H, W); ``seg_prob``, that of the
            foreground (1, H, W), with two classes; and ``uncertainty`` (1, H, W) in [0, 0.5], the
            standard deviation over the generations, the largest of all classes.
        """
        generations = self.generate(inputs, data_samples, steps, draws=draws, start=start)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in generations]
        for sample, probs in zip(data_samples, generations, strict=True):
            self.combine(probs, sample)
        return data_samples

    def generate(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: int | None = None,
        *,
        draws: Draws | None = None,
        start: Start | None = None,
    ) -> list[Tensor]:
        """Generate masks, as probabilities at the original size of each image.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionEncoderDecoder.predict`.
            start: See :meth:`DiffusionEncoderDecoder.predict`.

        Returns:
            For each image the class probabilities (G, K, H, W) of its G generations.
        """
        head = self.decode_head

        def read(features, metas, draws, start):
            chains = head.chains(features, metas, draws, start, steps=steps)
            masks = head.generate(chains, len(metas))  # (G, B, C, h, w)
            return [masks.transpose(0, 1).flatten(1, 2)]  # (B, G C, h, w)

        channels = [head.generations * head.label_encoder.channels]
        (masks,) = self._read(inputs, data_samples, read, channels, draws, start)
        return [
            # (G C, H, W) -> (G, C, H, W)
            head.mask_probabilities(mask.unflatten(0, (head.generations, -1)))
            for mask in self._restore(masks, data_samples)
        ]

    def combine(self, probs: Tensor, sample: SegDataSample) -> None:
        """Write into a sample what generations (G, K, H, W) say; see :meth:`predict`."""
        mean = probs.mean(dim=0)  # (K, H, W)
        if self.decode_head.num_classes == 2:
            sample.seg_prob = PixelData(data=mean[1:])
        spread = probs.std(dim=0, correction=0).amax(dim=0, keepdim=True)
        sample.pred_sem_seg = PixelData(data=self._labels(mean[None]))
        sample.samples = PixelData(data=self._labels(probs))
        sample.seg_logits = PixelData(data=mean)
        sample.uncertainty = PixelData(data=spread)

    def _labels(self, probs: Tensor) -> Tensor:
        """Label maps (N, H, W) of probabilities (N, K, H, W)."""
        if self.decode_head.num_classes == 2:
            return (probs[:, 1] > self.test_cfg.get('threshold', 0.5)).long()
        return probs.argmax(dim=1)

    def predict_trajectory(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: int | None = None,
        *,
        draws: Draws | None = None,
    ) -> list[SampleList]:
        """Predict after every step of the first generation's chain.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionEncoderDecoder.predict`.

        Returns:
            For each step, new samples with ``seg_logits``, the estimate of the class probabilities
            (K, H, W); ``pred_sem_seg``; and ``noisy_map``, the map that went into the network, on
            the same scale as the estimate.
        """
        head = self.decode_head
        steps = head.steps if steps is None else steps

        def read(features, metas, draws, start):
            chain = next(head.chains(features, metas, draws, start, steps=steps))
            pairs = (torch.stack([step.x0, step.z_t])[:, : len(metas)] for step in chain)
            # (2, B, C, h, w) -> (B, 2 K, h, w)
            return [torch.cat([*head.mask_probabilities(pair)], dim=1) for pair in pairs]

        classes = head.num_classes
        frames = []
        for maps in self._read(inputs, data_samples, read, [2 * classes] * steps, draws):
            frame = self._postprocess_copy(maps[:, :classes], data_samples)
            noisy_maps = self._restore(maps[:, classes:], data_samples)
            for sample, noisy_map in zip(frame, noisy_maps, strict=True):
                sample.noisy_map = PixelData(data=noisy_map)
            frames.append(frame)
        return frames
