"""What noisy maps say in sum for one clean map or another."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import ModuleList, constant_init
from torch import Tensor, nn


class Evidence(nn.Module):
    """Adds up what the pixels of noisy maps say for each of a few patterns that an image allows.

    By Bayes' rule the odds of two clean maps, given a noisy one, depend on its inner product with a
    pattern: their difference. This is exact for Gaussian noise and for classes that are switched
    evenly. In much noise a single pixel says next to nothing, and the norms of a U-Net remove the
    mean that is left. Here every image sets its patterns, and their products with a noisy map are
    summed over the pixels of a patch, over ever larger squares, and over the whole picture. Sums
    are divided by the root of their number, so that noise has the same strength in all of them.

    An untrained network has empty patterns.

    Args:
        map_channels: Channels C of the noisy map in patches.
        image_channels: Channels of the image's finest map.
        channels: Number F of patterns.
        emb_channels: Length of the time embedding.
        widths: Channels of the levels, fine to coarse.

    Example:
        >>> evidence = Evidence(
        ...     map_channels=8, image_channels=32, channels=4, emb_channels=128, widths=(32, 64)
        ... )
        >>> patterns = evidence.patterns(torch.randn(1, 32, 16, 16))  # once per image
        >>> emb, maps = evidence(torch.randn(1, 8, 16, 16), patterns, torch.randn(1, 128))
        >>> emb.shape, maps[1].shape
        (torch.Size([1, 128]), torch.Size([1, 64, 8, 8]))
    """

    def __init__(
        self,
        *,
        map_channels: int,
        image_channels: int,
        channels: int,
        emb_channels: int,
        widths: Sequence[int],
    ) -> None:
        super().__init__()
        self.channels = channels
        self.read = nn.Conv2d(image_channels, map_channels * channels, 1)
        self.gains = nn.Linear(emb_channels, channels)
        self.levels = ModuleList(nn.Conv2d(channels, width, 1, bias=False) for width in widths)
        self.whole = nn.Sequential(
            nn.Linear(channels + emb_channels, emb_channels),
            nn.SiLU(),
            nn.Linear(emb_channels, emb_channels),
        )
        constant_init(self.read, 0)

    def patterns(self, features: Tensor) -> Tensor:
        """The patterns (B, F C, h, w) for features (B, image_channels, h, w) of images."""
        # contiguous: their products are ten times slower in the layout of channels last
        return self.read(features).contiguous()

    def forward(self, z_t: Tensor, patterns: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Add up the evidence.

        Args:
            z_t: Noisy maps in patches (B, C, h, w).
            patterns: What :meth:`patterns` says of their images (B, F C, h, w).
            emb: Embedded times (B or 1, emb_channels).

        Returns:
            The embedding with the evidence of the whole picture (B, emb_channels), and that of each
            level i (B, widths[i], h / 2^i, w / 2^i).
        """
        patterns = patterns.to(z_t.dtype).unflatten(1, (self.channels, -1))  # (B, F, C, h, w)
        found = (patterns * z_t[:, None]).sum(dim=2).float()  # (B, F, h, w)
        found = found * (1 + self.gains(emb).float())[:, :, None, None]
        height, width = found.shape[2:]
        whole = found.sum(dim=(2, 3)) / (height * width) ** 0.5  # (B, F)
        maps = []
        for level, layer in enumerate(self.levels):
            if level:
                found = F.avg_pool2d(found, 2) * 2  # four numbers over the root of four
            # odds grow without bounds as noise fades, and asinh is a logarithm far from zero
            maps.append(layer(found.asinh().to(z_t.dtype)))
        emb = emb.expand(len(whole), -1)
        return emb + self.whole(torch.cat([whole.asinh().to(emb.dtype), emb], dim=1)), maps
