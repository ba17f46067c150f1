"""DDP's map decoder without a map: the twin that shows what diffusion is worth."""

import torch
from torch import Tensor

from mmdiffseg.models.ddp.map_decoder import DeformableMapDecoder, MapContext
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class ZeroMapDecoder(DeformableMapDecoder):
    """A :class:`DeformableMapDecoder` that sees neither the noisy map nor its time.

    It has the same parameters and costs as much, but decodes the image alone: the map is always
    zero, and the log-SNR always 0, because the time by itself would tell how noisy a map is that
    the twin must not know of. Further steps change nothing; test it at one. See
    :class:`DeformableMapDecoder` for the arguments.

    Example:
        >>> head.denoiser
        ZeroMapDecoder(...)
        >>> one, ten = (head.predict(features, metas, {}, steps=steps) for steps in (1, 10))
        >>> torch.equal(one, ten)
        True
    """

    def forward(self, z_t: Tensor, time: Tensor, context: MapContext) -> Tensor:
        """Refine the features of images; see :meth:`DeformableMapDecoder.forward`."""
        # a product keeps the label encoder in the graph, which distributed training asks for
        return super().forward(0 * z_t, torch.zeros_like(time), context)
