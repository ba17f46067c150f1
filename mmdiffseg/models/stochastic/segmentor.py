"""The host of heads that draw whole masks."""

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start
from mmdiffseg.diffusion.uncertainty import PredictionSpread
from mmdiffseg.models.segmentors.diffusion_encoder_decoder import DiffusionEncoderDecoder
from mmdiffseg.models.stochastic.teacher import Teacher
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class StochasticSegmentor(DiffusionEncoderDecoder):
    """An ``EncoderDecoder`` around a head of whole masks, which gives every sample.

    ``test_cfg.uncertainty`` is ``entropy`` (default), ``mutual_information`` or ``variance``, see
    :class:`PredictionSpread`.

    Example:
        >>> (sample,) = model.predict(images)
        >>> sample.samples.data.shape  # 16 label maps
        torch.Size([16, 128, 128])
    """

    #: whose samples the model learns in place of the truth, see DistillationHook
    teacher: Teacher | None = None

    def loss(
        self, inputs: Tensor, data_samples: SampleList, *, draws: Draws | None = None
    ) -> dict[str, Tensor]:
        """Losses of the head, against the truth or against samples of the teacher.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples; a student reads their meta information alone.
            draws: Randomness of the head, see its ``loss``; normal ``start`` (B, C, H, W) of a
                student.
        """
        if self.teacher is None:
            return super().loss(inputs, data_samples, draws=draws)
        head, metas = self.decode_head, [sample.metainfo for sample in data_samples]
        features = self.extract_feat(inputs)
        shape = (len(inputs), head.label_encoder.channels, *inputs.shape[2:])
        noise = (draws or Draws()).normal('start', shape, device=inputs.device)
        labels = self.teacher.answer(inputs, metas, noise)
        return add_prefix(head.distillation_loss(features, metas, noise, labels), 'decode')

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        *,
        draws: Draws | None = None,
        start: Start | None = None,
        steps: int | None = None,
    ) -> SampleList:
        """Predict every sample, and what they say together.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, filled in place.
            draws: See :meth:`DiffusionEncoderDecoder.predict`.
            start: See :meth:`DiffusionEncoderDecoder.predict`.
            steps: Sampling steps instead of those of the head.

        Returns:
            Samples with ``samples``, G label maps (G, H, W); ``seg_logits``, their mean class
            probabilities (K, H, W); ``pred_sem_seg`` (1, H, W), the likeliest class under those;
            and ``uncertainty`` (1, H, W) in [0, 1].
        """
        head = self.decode_head

        def read(features, metas, draws, start):
            spread = PredictionSpread(
                len(metas),
                measure=self.test_cfg.get('uncertainty', 'entropy'),
                probabilities=head.probabilities,
            )
            chains = spread.watch(head.chains(features, metas, draws, start, steps=steps))
            probs = head.generate(chains, len(metas))  # (G, B, K, H, W)
            return [probs.transpose(0, 1).flatten(1, 2), spread.map()]  # (B, G K, H, W)

        channels = [head.generations * head.num_classes, 1]
        maps = self._read(inputs, data_samples, read, channels, draws, start)
        generations, uncertainty = (self._restore(part, data_samples) for part in maps)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in generations]
        for sample, probs, spread in zip(data_samples, generations, uncertainty, strict=True):
            probs = probs.unflatten(0, (head.generations, -1))  # (G, K, H, W)
            mean = probs.mean(dim=0)
            sample.samples = PixelData(data=probs.argmax(dim=1))
            sample.seg_logits = PixelData(data=mean)
            sample.pred_sem_seg = PixelData(data=mean.argmax(dim=0, keepdim=True))
            sample.uncertainty = PixelData(data=spread)
        return data_samples

    def predict_trajectory(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        steps: int | None = None,
        *,
        draws: Draws | None = None,
    ) -> list[SampleList]:
        """Predict after every step of the first sample's chain.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, left as they are.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`DiffusionEncoderDecoder.predict`.

        Returns:
            For each step, new samples with ``seg_logits``, the estimate of the class probabilities
            (K, H, W), and ``pred_sem_seg``.
        """
        head = self.decode_head
        steps = head.steps if steps is None else steps

        def read(features, metas, draws, start):
            chain = next(head.chains(features, metas, draws, start, steps=steps))
            return [head.probabilities(step.output[: len(metas)]) for step in chain]

        frames = self._read(inputs, data_samples, read, [head.num_classes] * steps, draws)
        return [self._postprocess_copy(probs, data_samples) for probs in frames]
