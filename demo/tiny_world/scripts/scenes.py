"""Pictures of the Shapes world as tensors, for the trainings beside this file.

Scenes are painted once into a pool, each with its mirror image, from which batches are drawn.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / 'tools/dataset_converters'))
from shapes_language import Thing  # noqa: E402
from shapes_world import paint, sample_scene  # noqa: E402

SIZE = 64  # pixels
TRAIN, VAL = 0, 1  # streams of scenes that never meet


@dataclass(frozen=True)
class Pool:
    """Painted scenes."""

    images: torch.Tensor  # (N, 3, 64, 64) uint8, RGB
    instances: torch.Tensor  # (N, 64, 64) uint8, 0 is the wall and k is things[k - 1]
    things: list[list[Thing]]  # N times what is there

    def __len__(self) -> int:
        return len(self.things)

    def take(self, picks: np.ndarray) -> 'Pool':
        """The scenes of these indices."""
        return Pool(self.images[picks], self.instances[picks], [self.things[p] for p in picks])

    def x(self) -> torch.Tensor:
        """The pictures as the models take them, (N, 3, 64, 64) in [-1, 1]."""
        return self.images.float() / 127.5 - 1

    def masks(self, index: int) -> torch.Tensor:
        """The visible part of each thing of one scene, (things, 64, 64) bool."""
        numbers = torch.arange(1, len(self.things[index]) + 1, dtype=torch.uint8)
        return self.instances[index] == numbers[:, None, None]


def paint_pool(count: int, stream: int, seed: int = 0) -> Pool:
    """Paint scenes of 2 to 4 shapes without camouflage, half of them with a same-colour rival.

    Returns:
        2 * count scenes: those and their mirror images.
    """
    images = np.empty((2, count, SIZE, SIZE, 3), np.uint8)
    instances = np.empty((2, count, SIZE, SIZE), np.uint8)
    things = [[], []]
    for index in range(count):
        rng = np.random.default_rng([64, seed, stream, index])
        scene = sample_scene(rng, SIZE, SIZE, 2, 4, camouflage=0, distractors=0.5)
        painting = paint(scene, rng)
        for mirrored, step in enumerate((1, -1)):
            images[mirrored, index] = painting.image[:, ::step]
            instances[mirrored, index] = painting.instances[:, ::step]
            things[mirrored].append(
                [
                    see(shape.name, shape.surface.color, instances[mirrored, index] == number)
                    for number, shape in enumerate(scene.shapes, start=1)
                ]
            )
    chw = torch.from_numpy(images).flatten(0, 1).permute(0, 3, 1, 2)  # (2 count, 3, 64, 64)
    return Pool(chw.contiguous(), torch.from_numpy(instances).flatten(0, 1), sum(things, []))


def see(shape: str, color: str, mask: np.ndarray) -> Thing:
    """A shape as a speaker sees it, from its visible part."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Thing(shape, color, int(mask.sum()), (x + width / 2, y + height / 2))
