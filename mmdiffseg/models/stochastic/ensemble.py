"""An ensemble of trained models as a sampler: a sample for each member."""

from collections.abc import Sequence

import torch
from mmengine.model import ModuleList
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.diffusion.uncertainty import entropy
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class CheckpointEnsemble(BaseSegmentor):
    """Several trainings of one model; what a member predicts is a sample.

    Args:
        member: Config of the model, whose ``seg_logits`` are probabilities, as those of a
            :class:`StochasticSegmentor` are.
        checkpoints: A checkpoint for each member.
        data_preprocessor: Config of the preprocessor; that of the member is not used.

    Raises:
        ValueError: There are no checkpoints, or one does not fit.

    Example:
        >>> model = dict(type='mmdiffseg.CheckpointEnsemble', member=cfg.model,
        ...              data_preprocessor=cfg.model.data_preprocessor,
        ...              checkpoints=['seed0.pth', 'seed1.pth', 'seed2.pth'])
    """

    def __init__(
        self,
        *,
        member: dict,
        checkpoints: Sequence[str],
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if not checkpoints:
            raise ValueError('an ensemble needs checkpoints, one for each member')
        self.members = ModuleList(MODELS.build(member) for _ in checkpoints)
        for model, path in zip(self.members, checkpoints, strict=True):
            weights = load_checkpoint_file(path)['state_dict']
            load_exactly(model, weights, source=path, fresh=r'.*num_batches_tracked')

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict by every member, and what they say together.

        Args:
            inputs: Images (B, 3, H, W).
            data_samples: Their samples, filled in place.

        Returns:
            Samples with ``samples``, the prediction of each of M members (M, H, W);
            ``seg_logits``, their mean class probabilities (K, H, W); ``pred_sem_seg`` (1, H, W);
            and ``uncertainty`` (1, H, W) in [0, 1], the entropy of the mean.

        Raises:
            ValueError: A member gives logits instead of probabilities.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in inputs]
        by_member = [
            model.predict(inputs, [sample.clone() for sample in data_samples])
            for model in self.members
        ]
        for sample, *predicted in zip(data_samples, *by_member, strict=True):
            probs = torch.stack([one.seg_logits.data for one in predicted])  # (M, K, H, W)
            if probs.min() < 0 or probs.max() > 1 + 1e-4:
                raise ValueError(
                    f'seg_logits of {type(self.members[0]).__name__} run from {probs.min():.3g} '
                    f'to {probs.max():.3g}, so they are no probabilities: make a '
                    'mmdiffseg.StochasticSegmentor the member'
                )
            mean = probs.mean(dim=0)
            labels = torch.cat([one.pred_sem_seg.data for one in predicted])  # (M, H, W)
            sample.samples = PixelData(data=labels)
            sample.seg_logits = PixelData(data=mean)
            sample.pred_sem_seg = PixelData(data=mean.argmax(dim=0, keepdim=True))
            spread = entropy(mean[None], dim=1).clamp(0, 1)  # rounding may leave the interval
            sample.uncertainty = PixelData(data=spread)
        return data_samples

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Refuse: the members are trained one by one."""
        raise NotImplementedError('train the members of an ensemble one by one, with other seeds')

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        return self.predict(inputs, data_samples)

    def extract_feat(self, inputs: Tensor) -> None:
        """Refuse: every member has features of its own."""
        raise NotImplementedError('every member of an ensemble has features of its own')

    def encode_decode(self, inputs: Tensor, batch_data_samples: SampleList) -> None:
        """Refuse: an ensemble predicts by its members' own inference."""
        raise NotImplementedError('an ensemble predicts by its members, see `predict`')
