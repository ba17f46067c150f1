"""Prepare one task of QUBIQ: medical images that three to seven raters outlined.

Reads the folder of a task as the challenge hands it out, `{Training,Validation}/case*/` with
`image.nii.gz` and `task01_seg01.nii.gz`, `task01_seg02.nii.gz`, ... Writes 8-bit images, from the
0.5th to the 99.5th percentile of each, and masks of 0 and 1 for `mmdiffseg.MultiRaterDataset`.
Needs nibabel: pip install nibabel.

    python tools/dataset_converters/qubiq.py /my/QUBIQ/brain-growth --out data/qubiq/brain-growth
"""

import argparse
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from binary_folder import new_folder, show_progress
from rater_folder import write_case

from mmdiffseg.engine import command_line

SPLITS = dict(train='Training', val='Validation')


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='folder of the task')
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    parser.add_argument('--task', type=int, help='number of the outline, where there are several')
    parser.add_argument('--channel', type=int, default=0, help='of the image (%(default)s)')
    args = parser.parse_args()
    if not args.folder.is_dir():
        parser.error(f'no folder {args.folder}')
    return args


def read_plane(path: Path, channel: int) -> np.ndarray:
    """One plane (H, W) of an image of two axes, or of three with the channels first or last."""
    import nibabel

    try:
        pixels = np.squeeze(np.asarray(nibabel.load(path).dataobj, np.float64))
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise ValueError(f'{path} is damaged or not NIfTI: {error}') from error
    if pixels.ndim == 3:
        axis = int(np.argmin(pixels.shape))
        if channel >= pixels.shape[axis]:
            sys.exit(f'{path} has {pixels.shape[axis]} channels, --channel {channel} is not there')
        pixels = pixels.take(channel, axis)
    if pixels.ndim != 2:
        sys.exit(f'{path} has the shape {pixels.shape}, not that of a picture')
    return pixels


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Stretch the 0.5th to the 99.5th percentile to 0 .. 255."""
    low, high = np.percentile(pixels, [0.5, 99.5])
    return (255 * (pixels - low) / max(high - low, 1e-12)).clip(0, 255).round().astype(np.uint8)


def outlines(case: Path, task: int | None) -> list[Path]:
    """The masks of all raters, by their numbers."""
    found = {}
    for path in case.glob('task*_seg*.nii.gz'):
        match = re.fullmatch(r'task(\d+)_seg(\d+)\.nii\.gz', path.name)
        if match:
            found.setdefault(int(match[1]), {})[int(match[2])] = path
    if task is None and len(found) > 1:
        sys.exit(f'{case} holds outlines of tasks {sorted(found)}: choose one by --task')
    if not found or (task is not None and task not in found):
        sys.exit(f'{case} holds no task{task or 1:02d}_seg01.nii.gz')
    masks = found[task if task is not None else next(iter(found))]
    return [masks[number] for number in sorted(masks)]


def main() -> None:
    """Write all cases."""
    args = parse_args()
    if find_spec('nibabel') is None:
        sys.exit('QUBIQ is stored as NIfTI, which nibabel reads: pip install nibabel')
    cases = [
        (split, case)
        for split, name in SPLITS.items()
        for case in sorted((args.folder / name).glob('case*'))
    ]
    if not cases:
        sys.exit(f'{args.folder} holds no {{Training,Validation}}/case*: see --help')
    raters = 0
    with new_folder(args.out) as root:
        for count, (split, case) in enumerate(cases, start=1):
            image = to_8_bits(read_plane(case / 'image.nii.gz', args.channel))
            masks = [
                (read_plane(path, 0) > 0.5).astype(np.uint8) for path in outlines(case, args.task)
            ]
            raters = max(raters, len(masks))
            write_case(root, split, case.name, image, masks)
            show_progress('QUBIQ', count, len(cases))
    print(f'{args.out}: {len(cases)} images of {raters} raters')


if __name__ == '__main__':
    command_line.run_script(main)
