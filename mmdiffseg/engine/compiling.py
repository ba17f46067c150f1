"""``torch.compile`` for what a model computes once per image, and for a step of its chains."""

from typing import Any

from torch import nn


def compile_parts(model: nn.Module, **options: Any) -> nn.Module:
    """Compile the backbone, the neck and the denoiser of a model, in place.

    The loop of a chain stays as it is, and parameters keep their names. A denoiser is one graph
    that serves all steps: its time is a tensor.

    Args:
        model: An ``EncoderDecoder`` of mmseg, plain or around a head that diffuses.
        options: For ``nn.Module.compile``, such as ``mode='max-autotune'`` or
            ``backend='aot_eager'``.

    Returns:
        The model.

    Raises:
        ValueError: It has no decode head.
    """
    head = getattr(model, 'decode_head', None)
    if head is None:
        raise ValueError(f'{type(model).__name__} has no decode head to compile')
    model.backbone.compile(**options)
    if model.with_neck:
        model.neck.compile(**options)
    denoiser = getattr(head, 'denoiser', None)
    if denoiser is None:
        head.compile(**options)
    else:
        denoiser.compile(fullgraph=True, **options)
    return model
