"""From one grid over the ground to another."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Scope = tuple[float, float, float]


def count_cells(scope: Scope) -> int:
    """Number of cells of one axis.

    Args:
        scope: Where the axis begins and ends, and the size of a cell, in metres or another unit.

    Raises:
        ValueError: The cells do not fill the range.
    """
    low, high, step = scope
    cells = (high - low) / step if step > 0 else math.nan
    if not (cells > 0.5 and abs(cells - round(cells)) < 1e-3):
        raise ValueError(
            f'a scope must be (low, high, step) with a whole number of steps from low to high, '
            f'got {tuple(scope)}'
        )
    return round(cells)


class BEVGridTransform(nn.Module):
    """Samples a map bilinearly at the cell centres of another grid; zeros lie beyond its edge.

    A feature extractor has a grid of its own, which needs to agree with that of the ground truth
    neither in range nor in resolution.

    Args:
        input_scope: Of the maps to be sampled: (low, high, step) of the first axis, the rows, then
            of the second.
        output_scope: The same of the result, in the same unit.
    """

    def __init__(self, *, input_scope: Sequence[Scope], output_scope: Sequence[Scope]) -> None:
        super().__init__()
        self.input_scope = input_scope
        self.output_scope = output_scope
        self.input_cells = tuple(map(count_cells, input_scope))
        self.output_cells = tuple(map(count_cells, output_scope))

    def check(self, bev: Tensor) -> None:
        """Refuse maps (B, C, H, W) that are not cut as ``input_scope`` says.

        Raises:
            ValueError: Their numbers of cells differ.
        """
        if tuple(bev.shape[2:]) != self.input_cells:
            scopes = ' and '.join(f'{a:g} to {b:g} by {step:g}' for a, b, step in self.input_scope)
            raise ValueError(
                f'a BEV feature of {bev.shape[2]} x {bev.shape[3]} cells does not match its '
                f'input_scope, {scopes}, which has {self.input_cells[0]} x {self.input_cells[1]}: '
                'set input_scope to the range and the cell size of the feature'
            )

    def points(self, device: torch.device | None = None) -> Tensor:
        """Centres of the output cells in the input map (1, h, w, 2), x first, its edges at +-1."""
        axes = []
        for (low, high, _), (first, _, step), cells in zip(
            self.input_scope, self.output_scope, self.output_cells, strict=True
        ):
            # in float32 like the released code: its rounding shows in the fourth digit of features
            centres = first + step / 2 + step * torch.arange(cells, device=device)
            axes.append((centres - low) / (high - low) * 2 - 1)
        rows, columns = torch.meshgrid(*axes, indexing='ij')
        return torch.stack([columns, rows], dim=-1)[None]

    def forward(self, bev: Tensor) -> Tensor:
        """Sample maps (B, C, H, W) at the output grid: (B, C, h, w), same type."""
        points = self.points(bev.device).expand(len(bev), -1, -1, -1)
        return F.grid_sample(bev.float(), points, align_corners=False).to(bev.dtype)

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'input_scope={self.input_scope}, output_scope={self.output_scope}'
