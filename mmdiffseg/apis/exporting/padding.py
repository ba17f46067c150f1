"""How layers of timm, mmcv, mmseg and mmdet pad while a graph is traced."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import AdaptivePadding as MMCVPadding
from mmdet.models.layers.transformer.utils import AdaptivePadding as MMDetPadding
from mmseg.models.utils.embed import AdaptivePadding as MMSegPadding
from torch import Tensor, nn

#: what timm asks how much to pad: (size, kernel_size, stride, dilation)
Rule = Callable[[int, int, int, int], int]


@contextmanager
def watched_padding() -> Iterator[list[bool]]:
    """Note of every padding whether the size divides by the stride."""
    divides: list[bool] = []

    def watch(rule: Rule) -> Rule:
        def watched(size: int, kernel_size: int, stride: int, dilation: int) -> int:
            divides.append(size % stride == 0)
            return rule(size, kernel_size, stride, dilation)

        return watched

    with _padding_by(watch):
        yield divides


@contextmanager
def constant_padding() -> Iterator[None]:
    """Pad what a size that divides by the stride needs.

    In general timm rounds a fraction up and takes a maximum. torch.export cannot simplify that, so
    what it knows of a size grows with every layer: minutes for an EfficientNet.
    """

    def constant(size: int, kernel_size: int, stride: int, dilation: int) -> int:
        return max((kernel_size - 1) * dilation + 1 - stride, 0)

    with _padding_by(lambda rule: constant):
        yield


@contextmanager
def branchless_padding() -> Iterator[None]:
    """Pad for the patches of Swin and its kind whether they lack pixels or not.

    The layers of OpenMMLab only pad where the size does not divide. A graph would hold, for all
    sizes, the branch of the size that it was traced with.
    """
    with ExitStack() as stack:
        for kind in (MMCVPadding, MMDetPadding, MMSegPadding):
            stack.enter_context(patch.object(kind, 'forward', _pad_corner_or(kind.forward)))
        yield


def _pad_corner_or(forward: Callable) -> Callable:
    """A rule without a branch for patches that lie side by side; for others the layer's own."""

    def pad(layer: nn.Module, x: Tensor) -> Tensor:
        extents = [
            (size - 1) * dilation + 1
            for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
        ]
        if layer.padding != 'corner' or extents != list(layer.stride):
            return forward(layer, x)
        # more than is lacking: what reads the map leaves an incomplete patch out
        down, across = layer.stride
        return F.pad(x, (0, across - 1, 0, down - 1))

    return pad


@contextmanager
def _padding_by(make: Callable[[Rule], Rule]) -> Iterator[None]:
    module = sys.modules.get('timm.layers.padding')
    if module is None:
        yield
        return
    rule = module.get_same_padding
    module.get_same_padding = make(rule)
    try:
        yield
    finally:
        module.get_same_padding = rule
