"""Blocks of the U-Nets that diffuse in pixel space, conditioned on the diffusion time."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import ModuleList, constant_init
from torch import Tensor, nn

from mmdiffseg.models.layers.time_embedding import sinusoidal_embedding
from mmdiffseg.models.memory import check_memory


class GroupNorm32(nn.GroupNorm):
    """Group norm of 32 groups, computed in float32 for half-precision inputs too.

    Args:
        channels: Channels of the input, a multiple of 32.

    Raises:
        ValueError: ``channels`` is no multiple of 32.
    """

    def __init__(self, channels: int) -> None:
        if channels % 32:
            raise ValueError(
                f'every width of a U-Net must be a multiple of 32, the groups of its norms, '
                f'got {channels}'
            )
        super().__init__(32, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...) and keep its dtype."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(dtype), self.bias.to(dtype)
        return F.group_norm(x.to(dtype), self.num_groups, weight, bias, self.eps).to(x.dtype)


class ResBlock(nn.Module):
    """Residual block of two normalised 3x3 convolutions, with the time added between them.

    The second convolution starts at zero, so an untrained block of equal widths is the identity.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        emb_channels: Length of the time embedding.
        dropout: Dropout probability before the second convolution.
        scale_shift: Whether the time scales and shifts the output of the second norm instead of
            being added before it.
        skip_kernel_size: Kernel size (1 or 3) of the convolution on the skip connection, which
            exists only if the widths differ.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        dropout: float = 0.0,
        scale_shift: bool = False,
        skip_kernel_size: int = 1,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.in_layers = nn.Sequential(
            GroupNorm32(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(emb_channels, 2 * out_channels if scale_shift else out_channels)
        )
        self.out_layers = nn.Sequential(
            GroupNorm32(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        constant_init(self.out_layers[3], 0)
        self.skip_connection = nn.Identity()
        if in_channels != out_channels:
            self.skip_connection = nn.Conv2d(
                in_channels, out_channels, skip_kernel_size, padding=skip_kernel_size // 2
            )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Transform a map under a time embedding.

        Args:
            x: Map (B, in_channels, H, W).
            emb: Time embedding (B or 1, emb_channels).

        Returns:
            (B, out_channels, H, W).
        """
        h = self.in_layers(x)
        time = self.emb_layers(emb)[:, :, None, None]
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + time)
        return self.skip_connection(x) + h


class SelfAttention(nn.Module):
    """Residual global self-attention over the pixels of a map; the identity until it is trained.

    Args:
        channels: Channels of the map, a multiple of 32 and of ``num_heads``.
        num_heads: Attention heads.

    Raises:
        ValueError: ``channels`` is no multiple of ``num_heads``.
    """

    def __init__(self, *, channels: int, num_heads: int) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(
                f'an attended width must be a multiple of num_heads, got {channels} and {num_heads}'
            )
        self.num_heads = num_heads
        self.norm = GroupNorm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        constant_init(self.proj_out, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Let all N = H * W pixels of (B, C, H, W) attend to each other."""
        qkv = self.qkv(self.norm(x).flatten(2))  # (B, 3 C, N)
        # rows are ordered by head, then q, k, v; fused kernels want the width D of a head innermost
        qkv = qkv.unflatten(1, (self.num_heads, 3, -1)).mT.contiguous()  # (B, heads, 3, N, D)
        attended = F.scaled_dot_product_attention(*qkv.unbind(2)).mT  # (B, heads, D, N)
        return x + self.proj_out(attended.flatten(1, 2)).view_as(x)


class Downsample(nn.Module):
    """Halve a map by a convolution of stride 2.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ceil(H / 2), ceil(W / 2))."""
        return self.op(x)


class Upsample(nn.Module):
    """Double a map by repeating its pixels, followed by a convolution.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode='nearest'))


class TimeSequential(nn.Sequential):
    """Sequence of layers that passes the time embedding to its residual blocks."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Pass (B, C, H, W) through all layers; emb is (B or 1, emb_channels)."""
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ResBlock) else layer(x)
        return x


def embed_time(layers: nn.Sequential, t: Tensor) -> Tensor:
    """Embed times, in the precision of the weights whatever the autocast state.

    Args:
        layers: What follows the sinusoids, from their number of channels on.
        t: Times (B,) or (1,).

    Returns:
        (B or 1, width of the layers).
    """
    with torch.autocast(t.device.type, enabled=False):
        waves = sinusoidal_embedding(t, layers[0].in_features, cos_first=True)
        return layers(waves.to(layers[0].weight.dtype))


def repeat_images(x: Tensor, count: int) -> Tensor:
    """Repeat (B, C, h, w) to (count, C, h, w), all images once per generation."""
    return x.repeat(count // len(x), 1, 1, 1)


#: makes the layers of one stage from its input and output channels and its level (0 is the finest)
MakeStage = Callable[[int, int, int], list[nn.Module]]


def encoder_blocks(
    stem: nn.Module,
    stage: MakeStage,
    *,
    stem_channels: int,
    widths: Sequence[int],
    num_stages: int,
    joined: Mapping[int, int] = {},
) -> tuple[ModuleList, list[int]]:
    """Build the way down of a U-Net: the stem, then stages, and a downsampling between levels.

    Args:
        stem: First block.
        stage: Makes the layers of a stage.
        stem_channels: Channels of the map that leaves the stem.
        widths: Channels of each level, fine to coarse.
        num_stages: Stages of each level.
        joined: Channels that are concatenated to the input of the stage that is block number i.

    Returns:
        The blocks, and the channels of the map that each of them gives to its skip connection.
    """
    blocks, skips = ModuleList([TimeSequential(stem)]), [stem_channels]
    for level, width in enumerate(widths):
        for _ in range(num_stages):
            inputs = skips[-1] + joined.get(len(blocks), 0)
            blocks.append(TimeSequential(*stage(inputs, width, level)))
            skips.append(width)
        if level < len(widths) - 1:
            blocks.append(TimeSequential(Downsample(width)))
            skips.append(width)
    return blocks, skips


def decoder_blocks(
    stage: MakeStage, *, skips: Sequence[int], widths: Sequence[int], num_stages: int
) -> ModuleList:
    """Build the way up of a U-Net, a block for each skip connection.

    Args:
        stage: Makes the layers of a stage.
        skips: Channels of the skip connections, from :func:`encoder_blocks`.
        widths: Channels of each level, fine to coarse.
        num_stages: Stages of each level on the way down; there is one more on the way up.
    """
    blocks, skips, width = ModuleList(), list(skips), widths[-1]
    for level in reversed(range(len(widths))):
        for i in range(num_stages + 1):
            layers = stage(width + skips.pop(), widths[level], level)
            width = widths[level]
            if level > 0 and i == num_stages:
                layers.append(Upsample(width))
            blocks.append(TimeSequential(*layers))
    return blocks


def check_image(unet: nn.Module, image: Tensor) -> None:
    """Refuse images (B, C, H, W) that a U-Net cannot halve evenly, or memory not hold."""
    h, w = image.shape[-2:]
    if h % unet.stride or w % unet.stride:
        raise ValueError(
            f'the stride of {type(unet).__name__} is {unet.stride}, so the height and width of an '
            f"image must be multiples of {unet.stride}, got {h}x{w}: set 'size_divisor="
            f"{unet.stride}' in the data_preprocessor's test_cfg and train on crops of such a size"
        )
    if torch.compiler.is_compiling():  # sizes that are no numbers
        return
    check_memory(
        3 * 2 * len(image) * unet.model_channels * h * w,  # three maps, in half precision at least
        image.device,
        what=f'{type(unet).__name__} of {unet.model_channels} channels on {len(image)} x {h}x{w}',
        fix="resize the images, use windows (test_cfg.mode='slide') or a smaller batch",
    )
