"""The two sizes that every graph is looked at with, and what follows from them."""

import math

from torch import nn

#: sizes of pictures, multiples of every stride in use; the second becomes odd where it may be
SIZES = ((64, 96), (96, 128))
#: the largest stride in use
STRIDE = 32
#: rows (generations)
ROWS = (2, 3)


def window_extent(model: nn.Module) -> int:
    """Pixels that a window of shifted-window attention spans on the coarsest map; 0 without one.

    torch takes a count for a constant if it is 1 where a graph is traced, so that the coarsest map
    has to hold more than one window there.
    """
    windows = [module for module in model.modules() if type(module).__name__ == 'ShiftWindowMSA']
    return max((STRIDE * module.window_size for module in windows), default=0)


def find_sizes(
    size: tuple[int, int] | None, divisor: int | None, *, above: int = 0
) -> tuple[list[tuple[int, int]], bool]:
    """Two sizes of pictures, and whether what divides in the second divides in all to come.

    Args:
        size: The only size (H, W) there will be, or None.
        divisor: What all heights and widths are multiples of, or None.
        above: What they have to be larger than, a multiple of the stride.
    """
    if size:
        return [size, size], True
    grown = max(above + STRIDE - SIZES[0][0], 0)
    first, second = (tuple(n + grown for n in each) for each in SIZES)
    if divisor in (None, 1) or any(n % divisor for n in first):
        return [first, tuple(n + 1 for n in second)], False  # as odd as pictures can be
    # odd multiples: what divides there divides everywhere
    return [first, tuple((n // divisor | 1) * divisor for n in second)], True


def shape_rule(shapes: list[tuple[int, ...]], sizes: list[tuple[int, int]]) -> list[int | list]:
    """How a shape follows from the size of a picture.

    A number is fixed; ``['H', 4]`` is a quarter of the picture's height, rounded up, and
    ``['H', 4, 'down']`` rounded down, as with the patches of ConvNeXt.

    Args:
        shapes: The shape at both sizes.
        sizes: Sizes of the pictures.

    Raises:
        ValueError: It does not follow.
    """
    rule = []
    for dim, other in zip(*shapes, strict=True):
        if dim == other:
            rule.append(dim)
            continue
        for axis, name in enumerate('HW'):
            stride = max(sizes[0][axis] // dim, 1)
            quotients = [size[axis] / stride for size in sizes]
            if [math.ceil(q) for q in quotients] == [dim, other]:
                rule.append([name, stride])
                break
            if [math.floor(q) for q in quotients] == [dim, other]:
                rule.append([name, stride, 'down'])
                break
        else:
            raise ValueError(
                f'maps of {shapes[0]} and {shapes[1]} do not follow from pictures of {sizes[0]} '
                f'and {sizes[1]}: give a fixed size, such as size=(512, 512)'
            )
    return rule
