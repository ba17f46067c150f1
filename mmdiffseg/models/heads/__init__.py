"""Heads that diffuse, and the fusion head behind one of them."""

from importlib.util import find_spec

from mmdiffseg.models.heads.ddp_depth_head import DDPDepthHead
from mmdiffseg.models.heads.ddp_head import DDPHead
from mmdiffseg.models.heads.ddp_map_head import DDPMapHead
from mmdiffseg.models.heads.fcn_map_head import FCNMapHead
from mmdiffseg.models.heads.segdiff_head import SegDiffHead

__all__ = ['DDPDepthHead', 'DDPHead', 'DDPMapHead', 'FCNMapHead', 'SegDiffHead']

if find_spec('mmdet') is None:
    from mmdiffseg.models.without_mmdet import refuse

    refuse('DFormerHead', 'DFormerSegHead', 'MSDeformAttnPixelDecoder', 'UniversalFusionHead')
else:
    from mmdiffseg.models.heads.dformer_head import DFormerHead, DFormerSegHead
    from mmdiffseg.models.heads.universal_fusion_head import UniversalFusionHead
    from mmdiffseg.models.layers.pixel_decoder import MSDeformAttnPixelDecoder

    __all__ += ['DFormerHead', 'DFormerSegHead', 'MSDeformAttnPixelDecoder', 'UniversalFusionHead']
