"""Examples of what to look for: pictures and their masks."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.pictures import Picture, find_sources

#: a picture and its mask, 0 off the concept
Example = tuple[Any, Any]


def read_examples(
    examples: Sequence[Example] | Mapping[str, Sequence[Example]] | None,
) -> dict[str, tuple[list[Picture], list[NDArray]]]:
    """The pictures and masks of every concept, by its name.

    Args:
        examples: Pictures with their masks; for several concepts, those of each by its name.

    Raises:
        ValueError: There are no examples, or one is no picture with a mask.
    """
    if not examples:
        raise ValueError('show what to look for, such as examples=[(picture, mask)]')
    if not isinstance(examples, Mapping):
        examples = {'object': examples}
    return {name: _read_pairs(pairs) for name, pairs in examples.items()}


def _read_pairs(examples: Sequence[Example]) -> tuple[list[Picture], list[NDArray]]:
    pictures, masks = [], []
    for number, example in enumerate(examples):
        if not isinstance(example, tuple | list) or len(example) != 2:
            raise ValueError(f'example {number} must be a pair (picture, mask), got {example!r}')
        (source,) = find_sources(example[0])
        pictures.append(source.read())
        masks.append(read_mask(example[1]))
    return pictures, masks


def prompt_areas(pictures: Sequence[Picture], masks: Sequence[NDArray]) -> list[NDArray]:
    """Where the concept is (H, W) in each picture, bool.

    Args:
        pictures: The pictures of one concept.
        masks: Their masks (H, W): 0 off the concept.

    Raises:
        ValueError: There is none, or a mask is empty or of another size than its picture.
    """
    if not pictures or len(pictures) != len(masks):
        raise ValueError(
            f'a concept needs prompts, each a picture and its mask, got {len(pictures)} pictures '
            f'and {len(masks)} masks'
        )
    areas = []
    for picture, mask in zip(pictures, masks, strict=True):
        (height, width), area = picture.pixels.shape[:2], mask != 0
        if (height, width) != area.shape:
            raise ValueError(
                f'the prompt {picture.name} is {width}x{height} and its mask '
                f'{area.shape[1]}x{area.shape[0]}: give the mask of this picture'
            )
        if not area.any():
            raise ValueError(f'the mask of the prompt {picture.name} is empty')
        areas.append(area)
    return areas
