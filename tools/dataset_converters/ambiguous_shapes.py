"""Generate Ambiguous Shapes: pictures of the Shapes world with exactly known rater distributions.

A rater of a picture has one of four habits, which decide for the whole picture:

    careful  .40  labels everything, exact outlines
    strict   .25  leaves all rings out, and each of the first five stars (far to near) with
                  probability .5; tight outlines
    generous .25  labels everything, loose outlines
    namer    .10  calls all ellipses circles, and leaves stars out as the strict one; exact outlines

So rings are all there or all gone, a tight outline comes with missing rings, and stars flip one by
one. All maps that can occur are enumerated, at most 66 a picture, and equal ones are merged::

    images/{train,val}/000000.jpg                the same pictures as shapes.py gives for this seed
    mode01/{train,val}/000000.png, mode02/ ...   every possible label map, the likeliest first
    weights_{train,val}.json                     {picture: {mode: probability}}
    habits_{train,val}.json                      {picture: {mode: [[habit, stars, probability]]}}
    rater1/ ... rater4/{train,val}/000000.png    four raters drawn once, as real data sets have them

Train on `mode*` with the weights (a fresh rater every visit) or on `rater*`; test on `mode*`.

    python tools/dataset_converters/ambiguous_shapes.py --out data/ambiguous_shapes
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from binary_folder import new_folder, show_progress
from shapes import SPLITS, generate
from shapes_world import CLASSES

from mmdiffseg.engine import command_line

HABITS = dict(careful=0.40, strict=0.25, generous=0.25, namer=0.10)
UNCERTAIN_STARS = 5
DRAWN_RATERS = 4
CIRCLE, ELLIPSE, STAR, RING = (
    CLASSES.index(name) for name in ('circle', 'ellipse', 'star', 'ring')
)


class Draw(NamedTuple):
    """One thing a rater may do with a picture."""

    habit: str
    stars: tuple[bool, ...]  # which of the uncertain stars are kept, far to near
    probability: float
    labels: np.ndarray  # (H, W) uint8


class Law(NamedTuple):
    """The distribution of label maps of one picture, the likeliest first."""

    maps: np.ndarray  # (M, H, W) uint8, all different
    weights: np.ndarray  # (M,)
    draws: list[list[Draw]]  # what leads to each map


def draws(instances: np.ndarray, kinds: Sequence[int]) -> Iterator[Draw]:
    """Everything a rater may do.

    Args:
        instances: (H, W), 0 is the background and k the visible part of shape k, from far to near.
        kinds: Class of shape 1, 2, ...
    """
    stars = [k for k, kind in enumerate(kinds, start=1) if kind == STAR][:UNCERTAIN_STARS]
    rounds = max(1, round(min(instances.shape) / 96))
    for habit, probability in HABITS.items():
        unsure = stars if habit in ('strict', 'namer') else []
        for kept in itertools.product([True, False], repeat=len(unsure)):
            names = np.array([0, *kinds], np.uint8)
            names[[star for star, keep in zip(unsure, kept, strict=True) if not keep]] = 0
            if habit == 'strict':
                names[names == RING] = 0
            elif habit == 'namer':
                names[names == ELLIPSE] = CIRCLE
            labels = names[instances]
            for _ in range(rounds):
                if habit == 'strict':
                    labels = tighten(labels)
                elif habit == 'generous':
                    labels = loosen(labels)
            stars_kept = kept if unsure else (True,) * len(stars)
            yield Draw(habit, stars_kept, probability / 2 ** len(unsure), labels)


def tighten(labels: np.ndarray) -> np.ndarray:
    """Give pixels beside the background to it, (H, W)."""
    touching = np.zeros(labels.shape, bool)
    for neighbour, inside in _neighbours(labels):
        touching |= inside & (neighbour == 0)
    return np.where(touching, 0, labels)


def loosen(labels: np.ndarray) -> np.ndarray:
    """Give background pixels beside a shape to it, looking up, down, left, right, (H, W)."""
    result = labels.copy()
    for neighbour, _ in _neighbours(labels):
        result = np.where(result == 0, neighbour, result)
    return result


def _neighbours(labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The label above, below, left and right of each pixel, 0 outside, and whether it is inside."""
    height, width = labels.shape
    padded, inside = np.pad(labels, 1), np.pad(np.ones(labels.shape, bool), 1)
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        window = np.s_[y : y + height, x : x + width]
        yield padded[window], inside[window]


def law(instances: np.ndarray, kinds: Sequence[int]) -> Law:
    """Enumerate :func:`draws` and merge equal maps."""
    modes = {}
    for draw in draws(instances, kinds):
        modes.setdefault(draw.labels.tobytes(), []).append(draw)
    groups = sorted(modes.values(), key=lambda group: -_weight(group))
    return Law(
        maps=np.stack([group[0].labels for group in groups]),
        weights=np.array([_weight(group) for group in groups]),
        draws=groups,
    )


def _weight(group: list[Draw]) -> float:
    return sum(draw.probability for draw in group)


def parse_args() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to create')
    parser.add_argument('--train', type=int, default=2000, help='training pictures (%(default)s)')
    parser.add_argument('--val', type=int, default=200, help='validation pictures (%(default)s)')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(64, 64), metavar=('W', 'H'), help='pixels (64 64)'
    )
    parser.add_argument(
        '--shapes',
        type=int,
        nargs=2,
        default=(1, 8),
        metavar=('MIN', 'MAX'),
        help='a picture (1 8)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    args = parser.parse_args()
    if min(args.train, args.val) < 1:
        parser.error(f'--train {args.train} --val {args.val}: both need at least 1 picture')
    if min(args.size) < 32:
        parser.error(f'--size {args.size[0]} {args.size[1]}: shapes need at least 32 pixels')
    if not 1 <= args.shapes[0] <= args.shapes[1] <= 80:
        parser.error(f'--shapes {args.shapes[0]} {args.shapes[1]}: need 1 <= MIN <= MAX <= 80')
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: must not be negative')
    args.camouflage, args.distractors = 0.1, (0.0, 0.0)  # as in Shapes
    return args


def write(root: Path, folder: str, split: str, name: str, pixels: np.ndarray) -> None:
    """Write one picture or label map."""
    path = root / folder / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f'cannot write {path}')


def write_split(root: Path, split: str, args: argparse.Namespace) -> int:
    """Write all files of one split; returns how many modes it has."""
    weights, habits = {}, {}
    count = getattr(args, split)
    for index in range(count):
        name = f'{index:06d}'
        scene, painting = generate(args, split, index)
        write(root, 'images', split, f'{name}.jpg', painting.image[..., ::-1])
        modes = law(painting.instances, [shape.label for shape in scene.shapes])
        names = [f'mode{number:02d}' for number in range(1, len(modes.maps) + 1)]
        for mode, labels in zip(names, modes.maps, strict=True):
            write(root, mode, split, f'{name}.png', labels)
        rng = np.random.default_rng([args.seed, SPLITS.index(split), index, 1])
        drawn = rng.choice(len(names), size=DRAWN_RATERS, p=modes.weights)
        for number, mode in enumerate(drawn, start=1):
            write(root, f'rater{number}', split, f'{name}.png', modes.maps[mode])
        weights[name] = dict(zip(names, modes.weights.tolist(), strict=True))
        habits[name] = {
            mode: [draw[:3] for draw in group]
            for mode, group in zip(names, modes.draws, strict=True)
        }
        if (index + 1) % 50 == 0 or index + 1 == count:
            show_progress(split, index + 1, count)
    for kind, content in (('weights', weights), ('habits', habits)):
        (root / f'{kind}_{split}.json').write_text(json.dumps(content) + '\n')
    return sum(map(len, weights.values()))


def main() -> None:
    """Write everything beside the target first: an interrupted run leaves nothing behind."""
    args = parse_args()
    with new_folder(args.out) as root:
        modes = [write_split(root, split, args) for split in SPLITS]
    print(
        f'{args.out}: {args.train} training and {args.val} validation pictures with '
        f'{modes[0] / args.train:.1f} and {modes[1] / args.val:.1f} modes on average'
    )


if __name__ == '__main__':
    command_line.run_script(main)
