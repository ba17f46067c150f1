"""Multi-scale deformable attention (Zhu et al., Deformable DETR, ICLR 2021), nothing compiled.

Four implementations stand behind one switch, `set_deform_attn_impl` or the environment variable
`MMDIFFSEG_DEFORM_ATTN`. All of them sample in float32 or better, whatever the autocast state: half
precision cannot even name the pixels of a large map.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmdiffseg.compat.mmcv_ops import has_compiled_ops

SpatialShapes = list[tuple[int, int]]

# Sampled pixels gathered at once without gradients: 2 MiB each for their rows and weights, memory
# that is used again. Fresh buffers of many MiB cost more in page faults than the arithmetic does.
_PIXELS_AT_ONCE = 2**19


class _TableGradient(torch.autograd.Function):
    """Adds the gradient with respect to the table to an `embedding_bag` over its detached table.

    That gradient is a bag too, over the transposed rows. Torch's own takes one BLAS call per
    sampled pixel on a CPU, four times as long.
    """

    @staticmethod
    def forward(ctx, output: Tensor, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.table_rows = len(table)
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weights = ctx.saved_tensors  # (bags, pixels) each
        order = rows.flatten().argsort()
        weights = weights.flatten().index_select(0, order)
        counts = torch.bincount(rows.flatten(), minlength=ctx.table_rows)
        grad_table = F.embedding_bag(
            order.int() // rows.shape[1],  # the bag each entry came from
            grad.contiguous(),
            (counts.cumsum(0) - counts).int(),
            per_sample_weights=weights,
            mode='sum',
        )
        return grad, grad_table, None, None


def _bordered_table(value: Tensor, spatial_shapes: SpatialShapes) -> Tensor:
    """Surround each level with one pixel of zeros: (B, sum hw, H, D) -> (rows, D)."""
    batch, _, heads, head_dim = value.shape
    levels = value.flatten(2).split([h * w for h, w in spatial_shapes], dim=1)
    maps = [
        F.pad(level.unflatten(1, shape), (0, 0, 1, 1, 1, 1)).flatten(1, 2)
        for level, shape in zip(levels, spatial_shapes, strict=True)
    ]  # (B, (h + 2) * (w + 2), H * D) each
    table = maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)
    return table.view(-1, head_dim)  # rows ordered by (sample, level, y, x, head)


def _corner_pixels(
    locations: Tensor, weights: Tensor, spatial_shapes: SpatialShapes
) -> tuple[Tensor, Tensor]:
    """Rows in the bordered table and weights of the four pixels around every location.

    Returns:
        Two tensors (B * N * H, L * 4 * P), int32 and floating.
    """
    batch, _, heads, _, points, _ = locations.shape
    starts = [0]
    for h, w in spatial_shapes:
        starts.append(starts[-1] + (h + 2) * (w + 2))
    samples = torch.arange(batch, device=locations.device) * starts[-1]
    head = torch.arange(heads, device=locations.device)[:, None].expand(-1, points)
    first = (samples[:, None, None, None] * heads + head).int()  # (B, 1, H, P)

    all_rows, all_weights = [], []
    for level, (h, w) in enumerate(spatial_shapes):
        x, y = locations[:, :, :, level].unbind(-1)  # (B, N, H, P) each
        # In pixels. Beyond the border nothing changes any more, and the upper left corner is kept
        # where all four lie in the bordered map: their weight then falls onto zeros, unmasked.
        x, y = (x * w - 0.5).clamp(-1, w), (y * h - 0.5).clamp(-1, h)
        left, top = x.detach().floor().clamp(max=w - 1), y.detach().floor().clamp(max=h - 1)
        row = (starts[level] + (top + 1) * (w + 2) + (left + 1)).int()
        # A location that is not a number stays so in its weight, but must not leave the table.
        row = row.clamp_(min=0) * heads + first
        below = row + (w + 2) * heads
        all_rows += [row, row + heads, below, below + heads]
        attention = weights[:, :, :, level]
        lower = attention * (y - top)
        upper = attention - lower
        upper_right, lower_right = upper * (x - left), lower * (x - left)
        all_weights += [upper - upper_right, upper_right, lower - lower_right, lower_right]
    return torch.cat(all_rows, dim=-1).flatten(0, 2), torch.cat(all_weights, dim=-1).flatten(0, 2)


def deform_attn_embedding_bag(
    value: Tensor, spatial_shapes: SpatialShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Gather the sampled pixels as weighted bags of rows; the fast way on a CPU.

    Arguments as in `multi_scale_deformable_attn`, in float32 or float64.
    """
    batch, _, heads, head_dim = value.shape
    queries, pixels = locations.shape[1], 4 * weights[0, 0].numel()
    queries_at_once = max(1, _PIXELS_AT_ONCE // (batch * pixels))
    if torch.is_grad_enabled():
        queries_at_once = queries  # each part would have a table gradient of its own
    table = _bordered_table(value, spatial_shapes)
    outputs = []
    for part in zip(
        locations.split(queries_at_once, dim=1), weights.split(queries_at_once, dim=1), strict=True
    ):
        rows, pixel_weights = _corner_pixels(*part, spatial_shapes)
        bags = F.embedding_bag(
            rows, table.detach(), per_sample_weights=pixel_weights, mode='sum'
        )  # (B * n * H, D)
        bags = _TableGradient.apply(bags, table, rows, pixel_weights.detach())
        outputs.append(bags.view(batch, -1, heads * head_dim))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


def deform_attn_grid_sample(
    value: Tensor, spatial_shapes: SpatialShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Sample each level with `grid_sample`, then weigh and sum; the well-known way.

    Arguments as in `multi_scale_deformable_attn`, in float32 or float64.
    """
    batch, _, heads, head_dim = value.shape
    levels = value.split([h * w for h, w in spatial_shapes], dim=1)
    grid = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * H, N, L, P, 2)
    weights = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * H, 1, N, L, P)
    output = 0
    for level, (h, w) in enumerate(spatial_shapes):
        maps = levels[level].permute(0, 2, 3, 1).reshape(batch * heads, head_dim, h, w)
        sampled = F.grid_sample(maps, grid[:, :, level], align_corners=False)  # (B * H, D, N, P)
        output = output + (sampled * weights[:, :, :, level]).sum(-1)
    return output.view(batch, heads * head_dim, -1).transpose(1, 2)  # (B * H, D, N) -> (B, N, C)


def deform_attn_gather(
    value: Tensor, spatial_shapes: SpatialShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Gather all sampled pixels, then weigh and sum; the plainest operators, for export.

    Arguments as in `multi_scale_deformable_attn`, in float32 or float64.
    """
    batch, _, heads, head_dim = value.shape
    rows, pixel_weights = _corner_pixels(locations, weights, spatial_shapes)
    pixels = _bordered_table(value, spatial_shapes)[rows.long()]  # (B * N * H, pixels, D)
    return (pixel_weights[:, None] @ pixels).view(batch, -1, heads * head_dim)


def deform_attn_compiled(
    value: Tensor, spatial_shapes: SpatialShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Run mmcv's CUDA operator.

    Arguments as in `multi_scale_deformable_attn`, in float32 or float64, on a GPU.
    """
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes = torch.tensor(spatial_shapes)
    sizes = shapes.prod(1)
    # non_blocking: the host must not wait for the device in every layer
    shapes, starts = (
        t.to(value.device, non_blocking=True) for t in (shapes, sizes.cumsum(0) - sizes)
    )
    # the last argument, the samples per kernel launch, must divide the batch size
    return MultiScaleDeformableAttnFunction.apply(
        value.contiguous(), shapes, starts, locations.contiguous(), weights.contiguous(), len(value)
    )


#: by the names of `set_deform_attn_impl`
IMPLEMENTATIONS = dict(
    embedding_bag=deform_attn_embedding_bag,
    grid_sample=deform_attn_grid_sample,
    gather=deform_attn_gather,
    compiled=deform_attn_compiled,
)


@cache
def has_cuda_op() -> bool:
    """Whether mmcv has its CUDA operator."""
    if not has_compiled_ops():
        return False
    from mmcv.ops import get_compiling_cuda_version

    return get_compiling_cuda_version() != 'not available'


def set_deform_attn_impl(name: str) -> str:
    """Choose the implementation of deformable attention for this process.

    Args:
        name: ``embedding_bag``, ``grid_sample`` or ``gather`` (plain torch, anywhere), ``compiled``
            (mmcv's CUDA operator), or ``auto``: on a GPU the operator if mmcv has it, else
            ``grid_sample``, since ``embedding_bag`` has not been measured there; on a CPU
            ``embedding_bag``, except for training heads of fewer than 16 channels.

    Returns:
        The previous choice.

    Raises:
        ValueError: The name is unknown.
        RuntimeError: ``compiled`` where mmcv has no compiled CUDA operators.
    """
    global _choice
    if name != 'auto' and name not in IMPLEMENTATIONS:
        raise ValueError(
            f'the implementation of deformable attention must be auto or one of '
            f'{list(IMPLEMENTATIONS)}, got {name!r}'
        )
    if name == 'compiled' and not has_cuda_op():
        raise RuntimeError(
            'mmcv is installed without compiled CUDA operators, so deformable attention cannot be '
            "'compiled': choose 'auto', or install an mmcv wheel prebuilt for your torch"
        )
    previous, _choice = _choice, name
    return previous


@contextmanager
def deform_attn_impl(name: str) -> Iterator[None]:
    """Choose an implementation within a block, see :func:`set_deform_attn_impl`."""
    previous = set_deform_attn_impl(name)
    try:
        yield
    finally:
        set_deform_attn_impl(previous)


_choice = 'auto'
set_deform_attn_impl(os.environ.get('MMDIFFSEG_DEFORM_ATTN', 'auto'))


def _auto(value: Tensor) -> str:
    if value.is_cuda:
        return 'compiled' if has_cuda_op() else 'grid_sample'
    # The gradients of a bag cost the same for any width, too much for narrow heads.
    narrow = torch.is_grad_enabled() and value.shape[-1] < 16
    return 'embedding_bag' if value.device.type == 'cpu' and not narrow else 'grid_sample'


def multi_scale_deformable_attn(
    value: Tensor, spatial_shapes: SpatialShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Weighted sum of bilinearly sampled values, zero outside the maps, in the chosen way.

    Args:
        value: Tokens of all levels after another, row by row (B, sum of h * w, H, D).
        spatial_shapes: Height and width of each of the L levels.
        locations: Where to sample (B, N, H, L, P, 2), as (x, y) with each map spanning [0, 1].
        weights: Attention weights (B, N, H, L, P).

    Returns:
        (B, N, H * D), in the dtype of ``value``.
    """
    name = _auto(value) if _choice == 'auto' else _choice
    dtype = torch.promote_types(value.dtype, torch.float32)
    output = IMPLEMENTATIONS[name](
        value.to(dtype), spatial_shapes, locations.to(dtype), weights.to(dtype)
    )
    return output.to(value.dtype)


class MultiScaleDeformableAttention(nn.Module):
    """Every query looks at a few learned places around its reference point on every level.

    Parameters are named and initialised as in mmcv's module of this name. Unlike it, the caller
    adds positions, residual and dropout, and tokens are always (B, N, C).

    Args:
        embed_dims: Width C of the tokens, a multiple of ``num_heads``.
        num_heads: Attention heads H.
        num_levels: Feature maps L.
        num_points: Sampled points P per head and level.
    """

    def __init__(
        self, *, embed_dims: int = 256, num_heads: int = 8, num_levels: int = 1, num_points: int = 4
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(
                f'embed_dims must be a multiple of num_heads, got {embed_dims} and {num_heads}'
            )
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.sampling_offsets = nn.Linear(embed_dims, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(embed_dims, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Head i looks along its own direction, point p at p pixels; uniform attention."""
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        angle = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)  # onto the unit square
        distance = torch.arange(1, self.num_points + 1)[:, None]
        offsets = (direction[:, None, None] * distance).expand(-1, self.num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())  # (H, L, P, 2) -> (H * L * P * 2)

    def forward(
        self, query: Tensor, value: Tensor, reference_points: Tensor, spatial_shapes: SpatialShapes
    ) -> Tensor:
        """Attend, without residual.

        Args:
            query: Queries with their positions added (B, N, C).
            value: Tokens of all levels after another, row by row (B, sum of h * w, C).
            reference_points: Where each query stands on each level (B or 1, N, L, 2), as (x, y)
                with the map spanning [0, 1].
            spatial_shapes: Height and width of each level.

        Returns:
            (B, N, C).
        """
        if len(spatial_shapes) != self.num_levels:
            raise ValueError(
                f'expected {self.num_levels} levels, got spatial_shapes {spatial_shapes}'
            )
        if sum(h * w for h, w in spatial_shapes) != value.shape[1]:
            raise ValueError(
                f'spatial_shapes {spatial_shapes} do not add up to {value.shape[1]} value tokens'
            )
        heads, levels, points = self.num_heads, self.num_levels, self.num_points
        value = self.value_proj(value).unflatten(-1, (heads, -1))  # (B, sum of h * w, H, D)
        offsets = self.sampling_offsets(query).unflatten(-1, (heads, levels, points, 2))
        weights = self.attention_weights(query).unflatten(-1, (heads, levels * points))
        weights = weights.softmax(-1).unflatten(-1, (levels, points))
        dtype = torch.promote_types(offsets.dtype, torch.float32)
        sizes = torch.tensor([(w, h) for h, w in spatial_shapes], dtype=dtype)
        sizes = sizes.to(offsets.device, non_blocking=True)[:, None]  # (L, 1, 2)
        references = reference_points[:, :, None, :, None].to(dtype)  # (B or 1, N, 1, L, 1, 2)
        locations = torch.addcdiv(references, offsets.to(dtype), sizes)  # offsets are in pixels
        return self.output_proj(
            multi_scale_deformable_attn(value, spatial_shapes, locations, weights)
        )
