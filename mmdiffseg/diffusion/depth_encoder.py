"""Depth as a continuous signal."""

import math

from torch import Tensor, nn

from mmdiffseg.registry import LABEL_ENCODERS


@LABEL_ENCODERS.register_module()
class DepthEncoder(nn.Module):
    """Depths in one channel, [min_depth, max_depth] mapped linearly to [-scale, scale] (DDP).

    Args:
        min_depth: Depth of the lower end, in metres.
        max_depth: Depth of the upper end, in metres.
        scale: Half-width of the signal's range. Diffusion adds noise of unit variance, so a smaller
            scale makes every time step harder.

    Example:
        >>> encoder = DepthEncoder(min_depth=1e-3, max_depth=10.0)
        >>> encoder.encode(torch.full((1, 1, 8, 8), 10.0)).max()
        tensor(0.1000)
    """

    channels = 1

    def __init__(self, *, min_depth: float, max_depth: float, scale: float = 0.1) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        if not 0 < min_depth < max_depth < math.inf:
            raise ValueError(
                f'need 0 < min_depth < max_depth, in metres, got {min_depth} and {max_depth}'
            )
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.scale = scale

    def encode(self, depth: Tensor) -> Tensor:
        """Encode depths (B, 1, h, w) in metres to x0, same shape.

        As in the released code, depths outside of the range lie outside of it as x0 too: 0, where
        nothing was measured, just below -scale.
        """
        share = (depth - self.min_depth) / (self.max_depth - self.min_depth)
        return (share * 2 - 1) * self.scale

    def encode_output(self, depth: Tensor) -> Tensor:
        """Encode predicted depths (B, 1, h, w) to x0 in [-scale, scale], where sampling goes on."""
        return self.encode(depth).clamp(-self.scale, self.scale)

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'min_depth={self.min_depth}, max_depth={self.max_depth}, scale={self.scale}'
