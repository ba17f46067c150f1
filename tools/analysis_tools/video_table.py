"""What following a mask through a video is worth, beside asking for every frame by itself.

    python tools/analysis_tools/video_table.py MODEL --images data/davis2016/JPEGImages/480p \
        --labels data/davis2016/Annotations/480p --strengths 0.3 0.6 1.0 --flows none dis

MODEL is the folder of a model of one class of objects that samples, or CONFIG,CHECKPOINT. IMAGES
and LABELS hold a folder for each video. Rows: `frames`, every frame by itself, by all steps of the
model; `once`, the same by --steps; `one noise`, as `frames` with the same noise in all frames,
which alone takes some flicker away; `still`, the answer for the first frame in all frames; and
Segmenter.video by --steps a frame, for each strength and optical flow. Scores are DAVIS' J and F in
percent, the flicker BF of outlines in pixels, and the change beyond that of the truth in percent of
the object, means over the videos without their first frames; then the seconds that a frame takes.
Prints a table and writes video_table.json.
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prettytable import PrettyTable
from tqdm import tqdm

from mmdiffseg.apis.load import load_given
from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.pictures import Source, find_sources
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.engine import command_line
from mmdiffseg.evaluation.davis import contour_accuracy, region_similarity
from mmdiffseg.evaluation.flicker import boundary_flicker, excess_change
from mmdiffseg.output_dir import check_new_file

SCORES = ('J', 'F', 'BF', 'excess', 'seconds')

#: answers for all frames, (H, W) bool each
Way = Callable[[Segmenter, list[Source]], Iterable[NDArray]]


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', help='folder of a model, or CONFIG,CHECKPOINT')
    parser.add_argument('--images', type=Path, required=True, help='a folder for each video')
    parser.add_argument('--labels', type=Path, required=True, help='likewise, of true masks')
    parser.add_argument('--videos', nargs='+', help='names of the folders; by default all')
    parser.add_argument('--strengths', type=float, nargs='+', default=[0.3, 0.6, 1.0])
    parser.add_argument(
        '--flows', nargs='+', default=['none'], choices=['none', 'dis', 'farneback']
    )
    parser.add_argument('--steps', type=command_line.positive, default=1, help='of a frame')
    parser.add_argument('--frames', type=command_line.positive, help='the first so many of a video')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/video_table'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    args = parser.parse_args()
    args.videos = args.videos or sorted(p.name for p in args.images.iterdir() if p.is_dir())
    return args


def frame_by_frame(
    model: Segmenter, frames: list[Source], *, steps: int | None = None, named: bool = True
) -> Iterator[NDArray]:
    """Answers for every frame by itself."""
    if not named:
        frames = [replace(frame, name='video') for frame in frames]
    for result in model.iterate(frames, steps=steps, progress=False):
        yield result.labels == 1


def still(model: Segmenter, frames: list[Source]) -> Iterator[NDArray]:
    """The answer for the first frame, for all."""
    (mask,) = frame_by_frame(model, frames[:1])
    for _ in frames:
        yield mask


def followed(
    model: Segmenter, frames: list[Source], *, strength: float, flow: str, steps: int
) -> Iterator[NDArray]:
    """Answers that start from those for the frame before."""
    flow = None if flow == 'none' else flow
    for result in model.video(frames, strength=strength, steps=steps, flow=flow):
        yield result.labels == 1


def ways(args: Namespace) -> dict[str, Way]:
    """What answers, by the name of its row."""
    found: dict[str, Way] = {
        'frames': frame_by_frame,
        'once': partial(frame_by_frame, steps=args.steps),
        'one noise': partial(frame_by_frame, named=False),
        'still': still,
    }
    for strength in args.strengths:
        for flow in args.flows:
            name = f'video, {strength:g}' + ('' if flow == 'none' else f', {flow}')
            found[name] = partial(followed, strength=strength, flow=flow, steps=args.steps)
    return found


def score(masks: list[NDArray], truths: list[NDArray]) -> dict[str, float | None]:
    """Scores of the masks of a video; None where nothing can be compared."""
    pairs = list(zip(masks[1:], truths[1:], strict=True))
    excess = excess_change(masks[1:], truths[1:])
    return dict(
        J=100 * float(np.mean([region_similarity(*pair) for pair in pairs])),
        F=100 * float(np.mean([contour_accuracy(*pair) for pair in pairs])),
        BF=boundary_flicker(masks[1:], truths[1:]),
        excess=None if excess is None else 100 * excess,
    )


def measure(args: Namespace) -> list[dict]:
    """Scores of every way on every video."""
    model = load_given(args.model)
    records = []
    for video in args.videos:
        frames = list(islice(find_sources(args.images / video), args.frames))
        # read once, so that no time goes into files
        frames = [replace(frame, read_pixels=cache(frame.read_pixels)) for frame in frames]
        for frame in frames:
            frame.read()
        paths = [args.labels / video / Path(frame.name).with_suffix('.png') for frame in frames]
        truths = [read_mask(path) > 0 for path in paths]
        for row, way in ways(args).items():
            start = time.perf_counter()
            masks = list(tqdm(way(model, frames), total=len(frames), desc=f'{video}, {row}'))
            seconds = (time.perf_counter() - start) / len(frames)
            records.append(dict(video=video, row=row, **score(masks, truths), seconds=seconds))
    return records


def table(records: list[dict]) -> str:
    """The means over the videos as text."""
    found = PrettyTable(['row', *SCORES])
    for row in dict.fromkeys(record['row'] for record in records):
        cells = []
        for key in SCORES:
            values = [r[key] for r in records if r['row'] == row and r[key] is not None]
            cells.append(f'{np.mean(values):.2f}' if values else '')
        found.add_row([row, *cells])
    found.align = 'r'
    found.align['row'] = 'l'
    return found.get_string()


def main(args: Namespace) -> None:
    """Measure, print and write."""
    check_new_file(args.out_dir / 'video_table.json', overwrite=args.overwrite)
    records = measure(args)
    print('\n' + table(records))
    args.out_dir.mkdir(parents=True, exist_ok=True)
    path = args.out_dir / 'video_table.json'
    path.write_text(json.dumps(records, indent=1))
    print(f'Written: {path}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
