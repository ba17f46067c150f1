"""A refiner behind any model of mmseg or mmdet, as its last step."""

from collections.abc import Sequence
from typing import Any

import mmcv
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.models.diffusion_head import sample_key
from mmdiffseg.models.refine.merging import merge_labels, whole_probability
from mmdiffseg.models.refine.refiner import Target
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


class RefinedModel(BaseModel):
    """What both wrappers share: the model, the refiner, and the pictures at their full size.

    Args:
        model: The model, or its config.
        refiner: A :class:`MaskRefiner`, or its config.
        checkpoint: Weights of the model; None where it has them, or where those of both come in
            one checkpoint.
        refiner_checkpoint: Weights of the refiner, likewise.
    """

    def __init__(
        self,
        *,
        model: dict | nn.Module,
        refiner: dict | nn.Module,
        checkpoint: str | None = None,
        refiner_checkpoint: str | None = None,
    ) -> None:
        model, refiner = (
            MODELS.build(part) if isinstance(part, dict) else part for part in (model, refiner)
        )
        super().__init__(data_preprocessor=model.data_preprocessor)
        self.model, self.refiner = model, refiner
        for part, path in ((model, checkpoint), (refiner, refiner_checkpoint)):
            if path is not None:
                weights = load_checkpoint_file(path)['state_dict']
                load_exactly(part, weights, source=path, fresh=r'.*num_batches_tracked')

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Any:
        """Predict and refine.

        Raises:
            NotImplementedError: Another mode: both models are trained by themselves.
        """
        if mode != 'predict':
            raise NotImplementedError('train the model and its refiner by themselves')
        return self.predict(inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Predict by the model, then refine every sample."""
        samples = self.model.predict(inputs, data_samples)
        for sample in samples:
            self.refine(sample)
        return samples

    def refine(self, sample: Any) -> None:
        """Refine the prediction of one sample in place."""
        raise NotImplementedError

    def picture(self, sample: Any) -> Tensor:
        """The picture of a sample as the refiner takes it, (3, H, W), at its original size.

        Raises:
            FileNotFoundError: The sample does not say which file it is of.
        """
        path = sample.metainfo.get('img_path')
        if not path:
            raise FileNotFoundError(
                f'{type(self).__name__} reads pictures at their full size from img_path, and a '
                'sample has none: refine pictures in memory by Segmenter.refine'
            )
        return self.refiner.prepare_picture(mmcv.imread(path, channel_order='rgb'))

    def targets(self, sample: Any, masks: Sequence[Tensor], names: Sequence[Any]) -> list[Target]:
        """Targets of the masks (H, W), bool, of a sample."""
        image, key = self.picture(sample), sample_key(sample.metainfo)
        return [
            Target(image=image, mask=mask.to(image.device), name=f'{key}/{name}')
            for mask, name in zip(masks, names, strict=True)
        ]


@MODELS.register_module()
class RefinedSegmentor(RefinedModel):
    """A segmentor of mmseg whose label maps a refiner corrects, class by class in one batch.

    Args:
        model: See :class:`RefinedModel`.
        refiner: See :class:`RefinedModel`.
        checkpoint: See :class:`RefinedModel`.
        refiner_checkpoint: See :class:`RefinedModel`.
        background: Label that is no object, and that pixels get which no class claims; None
            refines every class, and leaves such pixels as they were.

    Example:
        >>> model = dict(type='mmdiffseg.RefinedSegmentor', model=cfg.model, refiner=refiner.model,
        ...              checkpoint='fcn.pth', refiner_checkpoint='refiner.pth', background=0)
    """

    def __init__(
        self,
        *,
        model: dict | nn.Module,
        refiner: dict | nn.Module,
        checkpoint: str | None = None,
        refiner_checkpoint: str | None = None,
        background: int | None = None,
    ) -> None:
        super().__init__(
            model=model,
            refiner=refiner,
            checkpoint=checkpoint,
            refiner_checkpoint=refiner_checkpoint,
        )
        self.background = background

    def refine(self, sample: Any) -> None:
        """Refine ``pred_sem_seg``; ``seg_logits`` stay those of the model."""
        labels = sample.pred_sem_seg.data[0]
        ids = [label for label in labels.unique().tolist() if label != self.background]
        refined = self.refiner.refine(self.targets(sample, [labels == k for k in ids], ids))
        objects = [one and (one.box, one.probability) for one in refined]
        merged = merge_labels(labels, ids, objects, background=self.background)
        sample.pred_sem_seg = PixelData(data=merged[None])


@MODELS.register_module()
class RefinedDetector(RefinedModel):
    """An instance segmentor of mmdet whose masks a refiner corrects, all in one batch.

    Args:
        model: See :class:`RefinedModel`.
        refiner: See :class:`RefinedModel`.
        checkpoint: See :class:`RefinedModel`.
        refiner_checkpoint: See :class:`RefinedModel`.
    """

    def refine(self, sample: Any) -> None:
        """Refine ``pred_instances.masks``; boxes and scores stay those of the model."""
        masks = sample.pred_instances.masks.bool()  # (N, H, W)
        refined = self.refiner.refine(self.targets(sample, masks, range(len(masks))))
        probabilities = map(whole_probability, masks, refined)
        masks = [probability >= 0.5 for probability in probabilities]
        if masks:
            sample.pred_instances.masks = torch.stack(masks)
