"""SegDiff: masks by diffusion in pixel space (arXiv 2112.00390)."""

from mmdiffseg.models.segdiff.fc_hardnet import FCHarDNet
from mmdiffseg.models.segdiff.head import SegDiffHead
from mmdiffseg.models.segdiff.rrdb import RRDBNet
from mmdiffseg.models.segdiff.segmentor import SegDiff
from mmdiffseg.models.segdiff.unet import SegDiffUNet

__all__ = [
    'FCHarDNet',
    'RRDBNet',
    'SegDiff',
    'SegDiffHead',
    'SegDiffUNet',
]
