"""timm's 'same' padding as constants, where every map divides by the stride of its layer."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
