"""What earlier trainings have left in a work dir: the checkpoint to go on from."""

import re
import zipfile
import zlib
from pathlib import Path

NUMBERED = re.compile(r'(iter|epoch)_(\d+)\.pth')


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """Find the newest checkpoint that is whole, and say which newer ones are not.

    Checkpoints are looked for beside the file that ``last_checkpoint`` names, and in the work dir,
    whether or not that pointer is there and right.

    Returns:
        Its path, or None if there are no checkpoints.

    Raises:
        ValueError: There are some, but none is whole.
    """
    checkpoints = _checkpoints(Path(work_dir))
    for path in checkpoints:
        fault = _fault(path)
        if fault is None:
            return path
        print(f'{path} is damaged ({fault}) and passed over.')
    if checkpoints:
        raise ValueError(
            f'none of the {len(checkpoints)} checkpoints in {work_dir} is whole: remove them to '
            'start from the beginning'
        )
    return None


def refuse_to_overwrite(work_dir: str | Path) -> None:
    """Check that a new training finds no checkpoints where it will write its own.

    Raises:
        FileExistsError: There are some.
    """
    checkpoints = _checkpoints(Path(work_dir))
    if checkpoints:
        raise FileExistsError(
            f'{work_dir} holds checkpoints of an earlier training, such as {checkpoints[0].name}, '
            'which this one would overwrite: give --resume to go on with it, or another --work-dir'
        )


def _checkpoints(work_dir: Path) -> list[Path]:
    """All of them, the newest first."""
    pointer = work_dir / 'last_checkpoint'
    name = pointer.read_text().strip() if pointer.is_file() else ''
    # the hook may save into another folder, and under other names
    named = [Path(name)] if Path(name).is_file() else []
    numbers = {
        path: int(match[2])
        for folder in {work_dir.resolve(), *(path.resolve().parent for path in named)}
        for path in folder.glob('*.pth')
        if (match := NUMBERED.fullmatch(path.name))
    }
    others = [path for path in named if not NUMBERED.fullmatch(path.name)]
    return [*others, *sorted(numbers, key=numbers.get, reverse=True)]


def _fault(path: Path) -> str | None:
    """What is wrong with a checkpoint; every part is compared with its check sum."""
    try:
        with zipfile.ZipFile(path) as parts:
            part = parts.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        return str(error) or type(error).__name__
    return part and f'the check sum of {part} is wrong'
