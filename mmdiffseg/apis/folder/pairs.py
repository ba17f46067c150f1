"""Which mask belongs to which picture, and which pictures are kept back for validation."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
MASKS = ('.png', '.bmp', '.tif', '.tiff')
JPEGS = ('.jpg', '.jpeg')
#: names of folders in which people keep their splits
SPLITS = dict(
    train=('train', 'training'), val=('val', 'valid', 'validation'), test=('test', 'testing')
)
#: a split by groups needs as many of them, none with more than half of all pictures
MIN_GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pictures and their masks.

    Attributes:
        image_dir: Folder of the pictures.
        mask_dirs: Folder of the masks, or of each rater.
        raters: Several people labelled the pictures.
        image_suffix: How the files of all pictures end.
        mask_suffix: How the files of all masks end.
        names: What the files of a picture and its masks have in common, sorted: the path below
            their folders without the suffix.
        warnings: Sentences about what is odd.
    """

    image_dir: Path
    mask_dirs: list[Path]
    raters: bool
    image_suffix: str
    mask_suffix: str
    names: list[str]
    warnings: list[str] = field(default_factory=list)

    def image(self, name: str) -> Path:
        """The file of a picture."""
        return self.image_dir / f'{name}{self.image_suffix}'

    def masks(self, name: str) -> list[Path]:
        """The files of its masks, one unless there are raters."""
        files = (folder / f'{name}{self.mask_suffix}' for folder in self.mask_dirs)
        return [file for file in files if file.is_file()]


def pair_files(images: str | Path, masks: str | Path | Sequence[str | Path]) -> Pairs:
    """Find the mask of every picture.

    A mask lies in the same sub-folder as its picture and is called like it, maybe with an ending
    that all masks share: ``a/x.jpg`` and ``a/x_mask.png``.

    Args:
        images: Folder of pictures, or of folders of them.
        masks: The same of masks; if it has folders ``rater1``, ``rater2``, ..., each holds the
            masks of a rater. Several folders are those of raters, too.

    Raises:
        FileNotFoundError: A folder is missing or empty, or most pictures have no mask.
        ValueError: Suffixes differ or are those of JPEG masks, or both are one folder.
    """
    image_dir = _folder(images, 'images')
    mask_dirs = _mask_dirs(masks)
    if image_dir in mask_dirs:
        raise ValueError(f'images and masks are both {image_dir}: give two folders')
    raters = len(mask_dirs) > 1
    files = [
        file
        for file in _pictures(image_dir)
        if not any(file.is_relative_to(folder) for folder in mask_dirs)
    ]
    if not files:
        raise FileNotFoundError(
            f'there is no picture in {image_dir}: it must hold files that end in '
            f'{", ".join(PICTURES)}'
        )
    image_suffix = _one_suffix(files, 'pictures', image_dir)
    stems = sorted(_stem(file, image_dir) for file in files)
    found = {folder: _mask_files(folder) for folder in mask_dirs}
    mask_suffix = _one_suffix([f for files in found.values() for f in files], 'masks', mask_dirs[0])
    mask_stems = {folder: {_stem(f, folder) for f in files} for folder, files in found.items()}
    ending = _ending(stems, set().union(*mask_stems.values()))
    labelled = {
        stem for stem in stems if any(f'{stem}{ending}' in known for known in mask_stems.values())
    }
    alone = [stem for stem in stems if stem not in labelled]
    where = ', '.join(map(str, mask_dirs))
    if 2 * len(alone) > len(stems):
        raise FileNotFoundError(
            f'{len(alone)} of {len(stems)} pictures have no mask: {alone[0]}{image_suffix} needs '
            f'{alone[0]}{ending}{mask_suffix} in {where}, which holds '
            f'{min(set().union(*mask_stems.values()))}{mask_suffix}: '
            f'{_how_to_match(stems, set().union(*mask_stems.values()))}'
        )
    warnings = []
    if alone:
        warnings.append(
            f'{len(alone)} of {len(stems)} pictures have no mask and are left out, such as '
            f'{alone[0]}{image_suffix}.'
        )
    for folder, known in mask_stems.items():
        spare = sorted(known - {f'{stem}{ending}' for stem in stems})
        if spare:
            warnings.append(
                f'{len(spare)} of {len(known)} masks in {folder} belong to no picture, such as '
                f'{spare[0]}{mask_suffix}.'
            )
        if raters and (missing := len(labelled) - (len(known) - len(spare))):
            warnings.append(
                f'{folder.name} labelled {len(labelled) - missing} of {len(labelled)} pictures.'
            )
    return Pairs(
        image_dir=image_dir,
        mask_dirs=mask_dirs,
        raters=raters,
        image_suffix=image_suffix,
        mask_suffix=ending + mask_suffix,
        names=sorted(labelled),
        warnings=warnings,
    )


def split_names(names: Sequence[str], *, share: float) -> tuple[list[str], list[str], list[str]]:
    """Split the pictures, or find out how their folders split them.

    Folders ``train`` and ``val`` (and ``test``, which is kept back) are taken as they are.
    Otherwise what belongs together by its name stays together: a folder, ``patient3_*``, or ``01L``
    and ``01R``. Which groups are for validation depends on their names alone.

    Args:
        names: See :class:`Pairs`.
        share: Of the pictures, for validation, in (0, 1).

    Returns:
        The names for training, for validation, and those kept back.
    """
    first = {name: name.partition('/')[0].lower() for name in names}
    parts = {split: [n for n in names if first[n] in known] for split, known in SPLITS.items()}
    kept_back = []
    if sum(map(len, parts.values())) == len(names):
        if parts['train'] and parts['val']:
            return parts['train'], parts['val'], parts['test']
        if parts['train']:
            names, kept_back = parts['train'], parts['test']
    key = _grouping(names)
    groups = sorted({key(name) for name in names}, key=_digest)
    val = set()
    for group in groups:
        if len(val) >= max(share * len(names), 1):
            break
        val.update(name for name in names if key(name) == group)
    return [name for name in names if name not in val], sorted(val), kept_back


def _grouping(names: Sequence[str]) -> Callable[[str], str]:
    """The coarsest way to tell by the names what belongs together that leaves enough groups."""
    ways = (
        lambda name: name.rpartition('/')[0],
        lambda name: re.sub(r'[_\-. ][^_\-. /]*$', '', name),  # patient3_12 -> patient3
        lambda name: re.sub(r'(?<=\d)[_\-. ]?[A-Za-z]+$', '', name),  # 01L -> 01
    )
    for way in ways:
        sizes = Counter(map(way, names))
        if len(sizes) >= MIN_GROUPS and 2 * max(sizes.values()) <= len(names):
            return way
    return str


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _folder(path: str | Path, what: str) -> Path:
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f'{what}={str(path)!r} is not a folder')
    return folder


def _mask_dirs(masks: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(masks, (str, Path)):
        folders = [_folder(path, 'masks') for path in masks]
        if len(set(folders)) < len(folders) or not folders:
            raise ValueError(f'masks={list(map(str, masks))}: give a folder for each rater')
        return folders
    folder = _folder(masks, 'masks')
    raters = sorted(
        (path for path in folder.iterdir() if path.is_dir() and path.name.startswith('rater')),
        key=lambda path: (len(path.name), path.name),  # rater10 comes after rater2
    )
    return raters if len(raters) > 1 else [folder]


def _pictures(folder: Path) -> list[Path]:
    """The picture files, without those that systems hide."""
    return [
        file
        for file in sorted(folder.rglob('*'))
        if file.suffix.lower() in PICTURES
        and not any(part.startswith(('.', '__')) for part in file.relative_to(folder).parts)
    ]


def _mask_files(folder: Path) -> list[Path]:
    files = _pictures(folder)
    jpegs = [file for file in files if file.suffix.lower() in JPEGS]
    if jpegs:
        raise ValueError(
            f'{len(jpegs)} of {len(files)} masks in {folder} are JPEGs, such as {jpegs[0].name}, '
            'whose compression changes labels: save the masks as PNG, from their source if '
            'possible, or else by thresholding them'
        )
    if not files:
        raise FileNotFoundError(
            f'there is no mask in {folder}: it must hold files that end in {", ".join(MASKS)}'
        )
    return files


def _one_suffix(files: Iterable[Path], what: str, folder: Path) -> str:
    counts = Counter(file.suffix for file in files)
    if len(counts) > 1:
        listed = ' and '.join(f'{count} {suffix}' for suffix, count in counts.most_common())
        raise ValueError(
            f'the {what} in {folder} have several suffixes ({listed}): give them one and the same, '
            'in capital or small letters'
        )
    return next(iter(counts))


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix('').as_posix()


def _ending(stems: Sequence[str], mask_stems: set[str]) -> str:
    """What masks have at the end of their names and pictures lack, such as ``_mask``."""
    endings = Counter({'': sum(stem in mask_stems for stem in stems)})
    if not endings['']:
        sample = stems[:: max(len(stems) // 20, 1)]  # of thousands, some will do
        endings.update(
            mask.removeprefix(stem)
            for stem in sample
            for mask in mask_stems
            if mask.startswith(stem) and '/' not in mask.removeprefix(stem)
        )
    return endings.most_common(1)[0][0]


def _how_to_match(stems: Sequence[str], mask_stems: set[str]) -> str:
    plain = {mask.rpartition('/')[2] for mask in mask_stems}
    if any(stem.rpartition('/')[2] in plain for stem in stems):
        return (
            'some names fit if folders are left out, so put masks into the same sub-folders as '
            'their pictures'
        )
    lower = {mask.lower() for mask in mask_stems}
    if any(stem.lower() in lower for stem in stems):
        return 'some names fit but for capital and small letters, so rename those files'
    return 'call each mask like its picture'
