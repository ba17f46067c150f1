"""DFormer: Mask2Former with noisy masks for learned queries (arXiv 2306.03437)."""

from importlib.util import find_spec

__all__ = [
    'DFormerHead',
    'DFormerSegHead',
    'DiffusionMask2Former',
    'MSDeformAttnPixelDecoder',
    'UniversalFusionHead',
]

if find_spec('mmdet') is None:
    from mmdiffseg.models.extras import refuse

    refuse(*__all__)
else:
    from mmdiffseg.models.dformer.detector import DiffusionMask2Former
    from mmdiffseg.models.dformer.fusion_head import UniversalFusionHead
    from mmdiffseg.models.dformer.head import DFormerHead
    from mmdiffseg.models.dformer.pixel_decoder import MSDeformAttnPixelDecoder
    from mmdiffseg.models.dformer.semantic import DFormerSegHead
