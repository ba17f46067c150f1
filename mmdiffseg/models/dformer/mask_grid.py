"""The pixels of noisy masks that the decoder reads: no others need to diffuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws

Size = tuple[int, int]


class Axis(NamedTuple):
    """The rows, or the columns, that are read of the masks of B images.

    A bilinear resize blends two rows into each new one. So 2 (fine + coarse) rows are read to
    resize masks to a fine and to a coarse size: all first and all second rows of the fine size,
    then those of the coarse one. Some may occur twice.

    Attributes:
        index: Numbers of the rows (B, 2 (fine + coarse)).
        place: Where their centres lie between the edges of the image, -1 and 1; same shape.
        fine: Weight of the second row in each row of the fine size (B, fine).
        coarse: Likewise for the coarse size (B, coarse).
    """

    index: Tensor
    place: Tensor
    fine: Tensor
    coarse: Tensor


class MaskGrid:
    """Where the decoder reads the noisy masks of B images, each of a size of its own.

    The decoder sees full-size masks only after a bilinear resize to a fine and to a coarse size.
    Everything before that (noise, corruption, sampler) treats each pixel alone. Maps on the grid
    (B, Q, n, m) therefore diffuse as full-size maps would, at a third of the cost.

    Args:
        sizes: Height and width of the masks of each image.
        fine: Size of the pixel features.
        coarse: Size of the level with the lowest resolution.
        device: Where the masks live.

    Example:
        >>> grid = MaskGrid([(512, 512)], fine=(128, 128), coarse=(16, 16))
        >>> fine, coarse = grid.read(grid.pick(torch.rand(1, 100, 512, 512), image=0))
        >>> fine.shape, coarse.shape
        (torch.Size([1, 100, 128, 128]), torch.Size([1, 100, 16, 16]))
    """

    def __init__(
        self,
        sizes: Sequence[Size],
        *,
        fine: Size,
        coarse: Size,
        device: torch.device | None = None,
    ) -> None:
        self.sizes, self.fine, self.coarse, self.device = list(sizes), fine, coarse, device

    @cached_property
    def rows(self) -> Axis:
        """The rows that are read."""
        return self._axis(0)

    @cached_property
    def columns(self) -> Axis:
        """The columns that are read."""
        return self._axis(1)

    def _axis(self, i: int) -> Axis:
        sizes = [size[i] for size in self.sizes]
        return _axis(sizes, self.fine[i], self.coarse[i], self.device)

    @property
    def shape(self) -> Size:
        """Height and width (n, m) of the maps on the grid."""
        return self.rows.index.shape[1], self.columns.index.shape[1]

    def select(self, images: Sequence[int]) -> MaskGrid:
        """The grid of some images, in this order."""
        sizes = [self.sizes[i] for i in images]
        return MaskGrid(sizes, fine=self.fine, coarse=self.coarse, device=self.device)

    def repeat(self, times: int) -> MaskGrid:
        """The grid of all images ``times`` times over."""
        return self.select([*range(len(self.sizes))] * times)

    def pick(self, masks: Tensor, *, image: int) -> Tensor:
        """The pixels on the grid (..., n, m) of one image's full-size masks (..., h, w)."""
        return masks[..., self.rows.index[image][:, None], self.columns.index[image]]

    def read(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Resize masks on the grid (B, Q, n, m) to the fine and to the coarse size."""
        h, w = 2 * self.fine[0], 2 * self.fine[1]
        fine = _blend(masks[:, :, :h, :w], self.rows.fine, self.columns.fine)
        coarse = _blend(masks[:, :, h:, w:], self.rows.coarse, self.columns.coarse)
        return fine, coarse

    def spread(self, maps: Tensor) -> Tensor:
        """The pixels on the grid (B, Q, n, m) of maps (B, Q, h', w') resized to full size."""
        y, x = self.rows.place[:, :, None], self.columns.place[:, None]
        places = torch.stack(torch.broadcast_tensors(x, y), dim=-1)  # (B, n, m, 2)
        # a map goes on beyond the centre of its outermost pixels as it ends there
        return F.grid_sample(
            maps, places, mode='bilinear', padding_mode='border', align_corners=False
        )


class GridDraws(Draws):
    """Draws for maps on a grid (B, Q, n, m): drawn at full size, of which the grid is kept.

    Random numbers thus do not depend on what the decoder reads, and recorded ones have full size.

    Args:
        draws: Source of the full-size draws.
        grid: What is kept of them.
    """

    def __init__(self, draws: Draws, grid: MaskGrid) -> None:
        super().__init__()
        self.draws = draws
        self.grid = grid

    def _draw(
        self, name: str, shape: Sequence[int], device: torch.device | None, draw: Callable
    ) -> Tensor:
        rows, queries, *_ = shape
        picked = []
        for i, size in enumerate(self.grid.sizes):  # one by one: full-size masks are large
            full = self.draws.select([i], of=rows)._draw(name, (1, queries, *size), device, draw)
            picked.append(self.grid.pick(full, image=i))
        return torch.cat(picked)


def _axis(sizes: Sequence[int], fine: int, coarse: int, device: torch.device | None) -> Axis:
    parts = []
    for size in sizes:
        *fine_rows, fine_weight = _neighbours(size, fine)
        *coarse_rows, coarse_weight = _neighbours(size, coarse)
        index = torch.cat([*fine_rows, *coarse_rows])
        place = (2 * index.double() + 1) / size - 1
        parts.append((index, place.float(), fine_weight, coarse_weight))
    return Axis(*(torch.stack(values).to(device) for values in zip(*parts, strict=True)))


def _neighbours(size: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two rows out of ``size`` behind each of ``target`` rows, and the second one's weight.

    As ``F.interpolate`` computes them, in float32.
    """
    scale = torch.tensor(size, dtype=torch.float32) / target
    source = (scale * (torch.arange(target) + 0.5) - 0.5).clamp(min=0)
    first = source.long().clamp(max=size - 1)
    return first, (first + 1).clamp(max=size - 1), source - first


def _blend(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Blend first and second rows, then columns, of maps (B, Q, 2 h, 2 w) to (B, Q, h, w)."""
    h, w = rows.shape[1], columns.shape[1]
    maps = torch.lerp(maps[:, :, :h], maps[:, :, h:], rows[:, None, :, None])
    return torch.lerp(maps[..., :w], maps[..., w:], columns[:, None, None])
