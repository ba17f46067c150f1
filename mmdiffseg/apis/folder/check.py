"""What lies in two folders of pictures and masks: classes, sizes, and what cannot be trained on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.apis.folder.pairs import Pairs
from mmdiffseg.apis.palette import colours as distinct_colours
from mmdiffseg.datasets.pictures import check_upright
from mmdiffseg.datasets.transforms.load_binary_mask import Foreground

IGNORED = 255
#: of labels that leave more numbers out than they use, only so many are taken for class ids
MAX_SPARSE = 20
#: below it a class is called rare
RARE = 0.01
COLOUR_MODES = ('RGB', 'RGBA', 'CMYK', 'YCbCr', 'LAB', 'HSV')


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found in the files.

    Attributes:
        classes: Name of each class.
        palette: Its RGB colour.
        foreground: What is foreground in binary masks, see :class:`BinarySegDataset`; None for
            masks of class ids.
        sizes: Width and height of the pictures (N, 2).
        shares: Share of the pixels of each class (K,), in [0, 1].
        warnings: Sentences about what is odd.
    """

    classes: list[str]
    palette: list[list[int]]
    foreground: Foreground | None
    sizes: NDArray[np.int64]
    shares: NDArray[np.float64]
    warnings: list[str]


def look_into(
    pairs: Pairs, *, classes: Sequence[str] | None = None, foreground: Foreground | None = None
) -> Facts:
    """Read every picture and mask, and find out what the masks hold.

    Args:
        pairs: The files.
        classes: Names of the classes, background first; None names them by number.
        foreground: What is foreground in binary masks; None finds out.

    Raises:
        ValueError: The files cannot be trained on; the sentence says why and what to do.
    """
    if foreground not in (None, 'nonzero') and not (isinstance(foreground, int) and foreground > 0):
        raise ValueError(f"foreground={foreground!r} must be a value above 0 or 'nonzero'")
    sizes, counts, empty, unequal, colours = [], np.zeros(2**16, np.int64), [], [], None
    masks = 0
    for name in pairs.names:
        size = _image_size(pairs.image(name))
        sizes.append(size)
        for path in pairs.masks(name):
            masks += 1
            mask, palette = _read_mask(path)
            check_upright(str(pairs.image(name)), truth=path.name)
            if mask.shape != size[::-1]:
                unequal.append((pairs.image(name), size, path, mask.shape[::-1]))
                continue
            found = np.bincount(mask.ravel(), minlength=2**16)
            counts += found
            colours = colours or palette
            if np.count_nonzero(found) < 2:
                empty.append((path, int(found.argmax())))
    if unequal:
        image, size, path, other = unequal[0]
        raise ValueError(
            f'{len(unequal)} of {masks} masks differ in size from their pictures: {image} is '
            f'{size[0]}x{size[1]} and {path} {other[0]}x{other[1]}: make them the same size'
        )
    values = np.flatnonzero(counts)
    if len(values) == 1:
        raise ValueError(
            f'all {masks} masks hold only {values[0]}, such as {empty[0][0]}: masks must mark '
            'at least two classes, of which one may be the background'
        )
    example = pairs.masks(pairs.names[0])[0]
    foreground = foreground or _foreground(values, classes)
    if foreground is None:
        number = _number_of_classes(values, classes, example)
        pixels = counts[:number]
    else:
        pixels = _binary_pixels(counts, foreground, example)
        number = 2
    names = list(classes) if classes else _names(number, binary=foreground is not None)
    if len(names) != number:
        raise ValueError(
            f'classes={tuple(names)} names {len(names)} classes and the masks have {number} '
            f'(values {_listed(values)}): name each of them, background first'
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f'classes={tuple(names)} has a name twice: give each class a name of its own'
        )
    shares = pixels / pixels.sum()
    return Facts(
        classes=names,
        palette=_palette(names, None if foreground is not None else colours),
        foreground=foreground,
        sizes=np.array(sizes),
        shares=shares,
        warnings=_warnings(names, shares, empty, len(sizes), counts, foreground),
    )


def _image_size(path: Path) -> tuple[int, int]:
    with _picture(path) as picture:
        if picture.mode.startswith(('I', 'F')):
            raise ValueError(
                f'{path} has more than 8 bits ({picture.mode}), which readers of pictures cut off: '
                'save pictures with 8 bits, scaled to the range that matters'
            )
        return picture.size


def _read_mask(path: Path) -> tuple[NDArray[np.int64], list[list[int]] | None]:
    """The labels (H, W) and the colours of a mask that has a palette."""
    with _picture(path) as picture:
        if picture.mode in COLOUR_MODES:
            raise ValueError(_about_colours(path, np.asarray(picture.convert('RGB'))))
        palette = picture.getpalette() if picture.mode == 'P' else None
        pixels = np.asarray(picture)
    if pixels.ndim > 2 or not np.issubdtype(pixels.dtype, np.integer) and pixels.dtype != bool:
        raise ValueError(
            f'{path} holds {pixels.dtype} in {pixels.ndim} dimensions: save masks as PNGs of one '
            'channel that holds class ids'
        )
    if pixels.min() < 0 or pixels.max() >= 2**16:
        raise ValueError(
            f'{path} holds {pixels.min()} to {pixels.max()}: labels must lie in [0, 255]'
        )
    colours = palette and [palette[i : i + 3] for i in range(0, len(palette), 3)]
    return pixels.astype(np.int64), colours


def _about_colours(path: Path, pixels: NDArray[np.uint8]) -> str:
    if (pixels == pixels[..., :1]).all():
        return (
            f'{path} is stored in colour although it is grey: save one channel of each mask, for '
            "example by Pillow's image.getchannel(0)"
        )
    colours = np.unique(pixels.reshape(-1, 3), axis=0)
    listed = ', '.join(str(tuple(map(int, colour))) for colour in colours[:3])
    return (
        f'{path} is a colour mask with {len(colours)} colours ({listed}'
        f'{", ..." if len(colours) > 3 else ""}): save masks as PNGs of one channel in which each '
        'colour is a number from 0, background first'
    )


@contextmanager
def _picture(path: Path) -> Iterator[Image.Image]:
    """An opened picture; one that does not decode is named."""
    try:
        with Image.open(path) as picture:
            picture.load()
            yield picture
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f'{path} is damaged or not a picture: get it again, or remove it ({error})'
        ) from error


def _foreground(values: NDArray[np.int64], classes: Sequence[str] | None) -> int | None:
    """The value of the object in binary masks; None if the masks hold class ids."""
    objects = [int(value) for value in values if value not in (0, IGNORED)]
    if len(classes or ()) > 2 or len(objects) > 1 or values[0] != 0:
        return None
    return objects[0] if objects else IGNORED


def _binary_pixels(
    counts: NDArray[np.int64], foreground: Foreground, example: Path
) -> NDArray[np.int64]:
    """Number of pixels of background and foreground (2,)."""
    if foreground == 'nonzero':
        return np.array([counts[0], counts[1:].sum()])
    others = np.setdiff1d(np.flatnonzero(counts), [0, foreground, IGNORED])
    if len(others) or not counts[foreground]:
        raise ValueError(
            f'foreground={foreground} does not fit the masks, such as {example}, whose values are '
            f'{_listed(np.flatnonzero(counts))}: give the value of the object, or '
            "foreground='nonzero'"
        )
    return counts[[0, foreground]]


def _number_of_classes(
    values: NDArray[np.int64], classes: Sequence[str] | None, example: Path
) -> int:
    ids = values[values != IGNORED]
    highest = int(ids.max())
    if classes:
        if highest >= len(classes):
            raise ValueError(
                f'the masks hold {_listed(values)} and classes names {len(classes)}: ids must lie '
                f'in [0, {len(classes)}), or be {IGNORED} where nothing counts'
            )
        return len(classes)
    if highest > IGNORED or (highest + 1 > 2 * len(ids) and highest >= MAX_SPARSE):
        raise ValueError(
            f'the masks, such as {example}, hold {len(values)} values ({_listed(values)}), which '
            'are no class ids: number the classes 0, 1, 2, ... in PNGs that were never resized '
            "smoothly; where every value but 0 is the one object class, give foreground='nonzero'"
        )
    if len(ids) > 64:
        raise ValueError(
            f'the masks, such as {example}, hold {len(ids)} values ({_listed(values)}): this looks '
            'like soft masks or numbered objects; threshold them, give '
            "foreground='nonzero', or name all classes by classes=[...] if they are class ids"
        )
    return highest + 1


def _names(number: int, *, binary: bool) -> list[str]:
    return ['background', 'foreground'] if binary else [f'class {i}' for i in range(number)]


def _palette(names: list[str], colours: list[list[int]] | None) -> list[list[int]]:
    """Colours of the classes: those of the masks, if they have a palette that tells them apart."""
    own = {tuple(colour) for colour in colours[: len(names)]} if colours else ()
    if len(own) == len(names):
        return colours[: len(names)]
    return distinct_colours(names)


def _warnings(
    names: list[str],
    shares: NDArray[np.float64],
    empty: list[tuple[Path, int]],
    images: int,
    counts: NDArray[np.int64],
    foreground: Foreground | None,
) -> list[str]:
    warnings = []
    blank = [path for path, value in empty if value == 0]
    full = [(path, value) for path, value in empty if value != 0]
    if blank:
        warnings.append(f'{len(blank)} masks are empty, such as {blank[0]}.')
    if full:
        path, value = full[0]
        warnings.append(f'{len(full)} masks hold a single value, such as {path} the value {value}.')
    for name, share in zip(names, shares, strict=True):
        if share == 0:
            warnings.append(f'no mask holds {name!r}, so nothing can be learned about it.')
        elif share < RARE:
            warnings.append(f'{name!r} is rare: {100 * share:.2g} % of the pixels.')
    if counts[IGNORED] and foreground not in (IGNORED, 'nonzero'):
        share = counts[IGNORED] / counts.sum()
        warnings.append(f'{100 * share:.2g} % of the pixels are {IGNORED} and do not count.')
    if images < 10:
        warnings.append(f'{images} pictures are very few.')
    return warnings


def _listed(values: NDArray[np.int64]) -> str:
    values = list(map(str, values))
    return ', '.join(values if len(values) <= 8 else [*values[:6], '...', values[-1]])
