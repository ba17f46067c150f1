"""The two sizes that every graph is looked at with, and what follows from them."""

#: sizes of pictures: multiples of every stride in use
SIZES = ((64, 96), (96, 128))
#: rows (generations)
ROWS = (2, 3)


def find_sizes(
    size: tuple[int, int] | None, divisor: int | None
) -> tuple[list[tuple[int, int]], bool]:
    """Two sizes of pictures, and whether what divides in the second divides in all to come.

    Args:
        size: The only size (H, W) there will be, or None.
        divisor: What all heights and widths are multiples of, or None.
    """
    if size:
        return [size, size], True
    first, second = SIZES
    if divisor in (None, 1) or any(n % divisor for n in first):
        return [first, second], False
    # odd multiples: what divides there divides everywhere
    return [first, tuple((n // divisor | 1) * divisor for n in second)], True


def shape_rule(shapes: list[tuple[int, ...]], sizes: list[tuple[int, int]]) -> list[int | list]:
    """How a shape follows from the size of a picture.

    A number is fixed; ``['H', 4]`` is a quarter of the picture's height, rounded up.

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
            if all(
                -(-size[axis] // stride) == n for size, n in zip(sizes, (dim, other), strict=True)
            ):
                rule.append([name, stride])
                break
        else:
            raise ValueError(
                f'maps of {shapes[0]} and {shapes[1]} do not follow from pictures of {sizes[0]} '
                f'and {sizes[1]}: give a fixed size, such as size=(512, 512)'
            )
    return rule
