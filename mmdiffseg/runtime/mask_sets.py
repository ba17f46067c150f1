"""Chains of sets of masks (DFormer), on the pixels that the denoiser reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmdiffseg.runtime.chains import Call, Step, walk_gaussian
from mmdiffseg.runtime.draws import Draws


class Axis(NamedTuple):
    """The rows, or the columns, that are read of a mask: see ``Axis`` of torch's side.

    Attributes:
        index: Their numbers (n,).
        place: Where their centres lie between the edges of the image, -1 and 1 (n,).
        fine: Weight of the second row in each row of the fine size.
        coarse: Likewise for the coarse size.
    """

    index: np.ndarray
    place: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray


class MaskGrid:
    """Where the denoiser reads the masks of an image, as ``MaskGrid`` of torch's side has it.

    Args:
        size: Height and width of the masks.
        fine: Size of the pixel features.
        coarse: Size of the level with the lowest resolution.
    """

    def __init__(self, size: Sequence[int], *, fine: Sequence[int], coarse: Sequence[int]) -> None:
        self.size = tuple(size)
        self.rows, self.columns = (_axis(*each) for each in zip(size, fine, coarse, strict=True))

    @classmethod
    def of_image(
        cls, told: Mapping, context: Mapping[str, np.ndarray], size: Sequence[int]
    ) -> MaskGrid:
        """The grid of an image.

        Args:
            told: What the export says of all grids.
            context: What its encoder has made of the image.
            size: Height and width of the image without padding.
        """
        fine, coarse = (context[told[name]].shape[2:] for name in ('fine', 'coarse'))
        padded = [n * told['stride'] for n in fine]
        if told['noise_size'] == 'padded':
            size = padded
        return cls(size, fine=fine, coarse=coarse)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the maps on the grid."""
        return len(self.rows.index), len(self.columns.index)

    def pick(self, masks: np.ndarray) -> np.ndarray:
        """The pixels on the grid (..., n, m) of masks (..., h, w)."""
        return masks[..., self.rows.index[:, None], self.columns.index]

    def inputs(self, rows: int) -> dict[str, np.ndarray]:
        """What the graph of a step takes of the grid, for a number of masks sets."""
        axes = dict(rows=self.rows, columns=self.columns)
        return {
            f'{name}_{part}': np.tile(getattr(axis, part), (rows, 1))
            for name, axis in axes.items()
            for part in ('place', 'fine', 'coarse')
        }


class GridDraws(Draws):
    """Draws for maps on a grid: drawn at the full size of the masks, as torch's side does.

    Args:
        draws: Where from.
        grid: What is kept of them.
    """

    def __init__(self, draws: Draws, grid: MaskGrid) -> None:
        self.draws = draws
        self.grid = grid

    def draw(self, kind: str, name: str, shape: Sequence[int]) -> np.ndarray:
        """See :meth:`Draws.draw`."""
        full = (shape[0], *self.grid.size)
        # one by one: masks of the full size are large
        return np.concatenate([self.grid.pick(row.draw(kind, name, full)) for row in self.draws])


def walk_mask_sets(
    loop: dict, rows: Sequence[dict], call: Call, grid: MaskGrid, draws: Draws
) -> Iterator[Step]:
    """Follow a chain of sets of masks; see :func:`walk_gaussian`."""
    inputs = grid.inputs(len(draws.rows))
    shape = (loop['map'][0], *grid.shape)
    return walk_gaussian(
        loop, rows, lambda state: call({**state, **inputs}), shape, GridDraws(draws, grid)
    )


def _axis(size: int, fine: int, coarse: int) -> Axis:
    *fine_rows, fine_weight = _neighbours(size, fine)
    *coarse_rows, coarse_weight = _neighbours(size, coarse)
    index = np.concatenate([*fine_rows, *coarse_rows])
    place = np.float32((2 * index + 1) / size - 1)
    return Axis(index, place, fine_weight, coarse_weight)


def _neighbours(size: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two rows out of ``size`` behind each of ``target`` rows, and the second one's weight."""
    scale = np.float32(size) / np.float32(target)
    half = np.float32(0.5)
    source = np.maximum(scale * (np.arange(target, dtype=np.float32) + half) - half, 0)
    first = np.minimum(source.astype(np.int64), size - 1)
    return first, np.minimum(first + 1, size - 1), source - first.astype(np.float32)
