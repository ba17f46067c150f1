"""What a runtime has to know of a model beside its graphs: pictures, readout, defaults."""

from typing import Any

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.config import Config
from mmseg.models.segmentors import DepthEstimator, EncoderDecoder
from torch import nn

from mmdiffseg.apis.exporting.mask_sets import describe_objects
from mmdiffseg.apis.tasks.pipeline import kept_transforms
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.ddp import DDPMapHead, MapSegmentor
from mmdiffseg.models.dformer import DFormerHead, DFormerSegHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.segdiff import SegDiff, SegDiffHead
from mmdiffseg.models.segmentors import DiffusionEncoderDecoder
from mmdiffseg.models.stochastic import StochasticSegmentor
from mmdiffseg.models.stochastic.head import StochasticHead

#: the options of a Resize that a runtime repeats
RESIZE = dict(scale=None, scale_factor=None, keep_ratio=False, backend='cv2')


def describe_pictures(model: nn.Module, config: Config) -> dict:
    """How a picture becomes the input of the encoder.

    Raises:
        ValueError: The test pipeline does what a runtime cannot repeat.
    """
    preprocessor = model.data_preprocessor
    normalise = preprocessor._enable_normalize
    return dict(
        # the runtime reads RGB; what the model sees comes from BGR files
        channels='RGB' if preprocessor._channel_conversion else 'BGR',
        mean=preprocessor.mean.flatten().tolist() if normalise else [0.0],
        std=preprocessor.std.flatten().tolist() if normalise else [1.0],
        **_padding(preprocessor),
        resize=_resize(config),
    )


def _padding(preprocessor: nn.Module) -> dict:
    """How pictures are padded."""
    if isinstance(preprocessor, DetDataPreprocessor):
        return dict(
            pad_value=preprocessor.pad_value,
            pad_divisor=preprocessor.pad_size_divisor,
            pad_size=None,
        )
    options = preprocessor.test_cfg or {}
    return dict(
        pad_value=preprocessor.pad_val,
        pad_divisor=options.get('size_divisor'),
        pad_size=options.get('size'),
    )


def _resize(config: Config) -> dict | None:
    """The options of the one Resize of the test pipeline."""
    found = []
    for step in kept_transforms(config)[1:]:
        kind = str(step['type']).rpartition('.')[2]
        if kind == 'Resize' and not found and set(step) <= {'type', *RESIZE}:
            found.append({name: step.get(name, default) for name, default in RESIZE.items()})
        elif not kind.startswith('Pack'):
            raise ValueError(
                f'the test pipeline has the transform {dict(step)}, which a runtime cannot repeat: '
                'leave it out of test_dataloader.dataset.pipeline'
            )
    return found[0] if found else None


def describe_readout(model: nn.Module) -> dict:
    """How the predictions of a model are read off its chains.

    Raises:
        TypeError: The model is of a kind that cannot be exported.
        ValueError: Its label encoder draws.
    """
    head = model_head(model)
    if getattr(getattr(head, 'label_encoder', None), 'reencode', None) == 'draw':
        raise ValueError(
            "a label encoder with reencode='draw' cannot be exported: load the model with "
            "reencode='argmax' or 'soft'"
        )
    if isinstance(head, DFormerHead) and not isinstance(head, DFormerSegHead):
        return describe_objects(model, head)
    if isinstance(model, SegDiff):
        return dict(
            kind='masks',
            classes=head.num_classes,
            scale=head.label_encoder.scale,
            threshold=model.test_cfg.get('threshold', 0.5),
        )
    measure = (getattr(model, 'test_cfg', None) or {}).get('uncertainty')
    if isinstance(model, StochasticSegmentor):
        return dict(kind='samples', classes=head.num_classes, uncertainty=measure or 'entropy')
    if isinstance(model, DepthEstimator) and isinstance(head, DiffusionHead):
        ours = isinstance(model, DiffusionEncoderDecoder)
        return dict(
            kind='depth',
            limits=[head.min_depth, head.max_depth],
            uncertainty=(measure or 'change') if ours else None,
        )
    if isinstance(model, MapSegmentor) and isinstance(head, DDPMapHead):
        return dict(kind='map', averaged='every')
    # cascades and the like decide more than one head
    if type(model) not in (EncoderDecoder, DiffusionEncoderDecoder):
        raise TypeError(
            f'{type(model).__name__} cannot be exported: what can is an EncoderDecoder of mmseg, '
            'plain or around a head that diffuses, DFormer in a Mask2Former, and Ref LDM-Seg'
        )
    ours = isinstance(model, DiffusionEncoderDecoder)
    known = dict(classes=head.num_classes, uncertainty=(measure or 'entropy') if ours else None)
    if isinstance(head, DFormerSegHead):
        return dict(known, kind='mask_classes', every_step=head.ensemble_steps)
    threshold = getattr(head, 'threshold', None)
    return dict(known, kind='classes', averaged=_averaged(head), threshold=threshold)


def _averaged(head: nn.Module) -> str:
    """What the prediction is the mean of."""
    if getattr(head, 'accumulation', False):
        return 'every'  # the probabilities of all steps
    if isinstance(head, StochasticHead):
        return 'drawn'
    return 'probability' if isinstance(head, SegDiffHead) else 'output'


def describe_windows(model: nn.Module) -> dict | None:
    """Size and stride of the windows of a sliding inference."""
    if model.test_cfg.get('mode', 'whole') != 'slide':
        return None
    return dict(size=list(model.test_cfg.crop_size), stride=list(model.test_cfg.stride))


def describe_defaults(head: Any) -> dict:
    """What a call takes where it says nothing."""
    if not isinstance(head, DiffusionHead):
        return dict(steps=1, generations=1, max_batch=None, seed=0)
    names = ('steps', 'generations', 'max_batch', 'seed')
    return {name: getattr(head, name) for name in names}
