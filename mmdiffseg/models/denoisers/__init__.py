"""Networks of a noisy map, a time and an image's features."""

from mmdiffseg.models.denoisers.bev_map_decoder import BEVMapDecoder
from mmdiffseg.models.denoisers.map_decoder import DeformableMapDecoder
from mmdiffseg.models.denoisers.segdiff_unet import SegDiffUNet

__all__ = ['BEVMapDecoder', 'DeformableMapDecoder', 'SegDiffUNet']
