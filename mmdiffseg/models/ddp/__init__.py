"""DDP: dense prediction by denoising an encoded map (arXiv 2303.17559)."""

from mmdiffseg.models.ddp.bev import DDPMapHead
from mmdiffseg.models.ddp.bev_map_decoder import BEVMapDecoder
from mmdiffseg.models.ddp.depth import DDPDepthHead
from mmdiffseg.models.ddp.depth_estimator import DepthTTAModel, DiffusionDepthEstimator
from mmdiffseg.models.ddp.fcn_bev import FCNMapHead
from mmdiffseg.models.ddp.map_decoder import DeformableMapDecoder
from mmdiffseg.models.ddp.map_segmentor import MapSegmentor
from mmdiffseg.models.ddp.multi_label_focal_loss import MultiLabelFocalLoss
from mmdiffseg.models.ddp.multi_stage_merging import MultiStageMerging
from mmdiffseg.models.ddp.semantic import DDPHead
from mmdiffseg.models.ddp.sig_loss import SigLoss
from mmdiffseg.models.ddp.zero_map_decoder import ZeroMapDecoder

__all__ = [
    'BEVMapDecoder',
    'DDPDepthHead',
    'DDPHead',
    'DDPMapHead',
    'DeformableMapDecoder',
    'DepthTTAModel',
    'DiffusionDepthEstimator',
    'FCNMapHead',
    'MapSegmentor',
    'MultiLabelFocalLoss',
    'MultiStageMerging',
    'SigLoss',
    'ZeroMapDecoder',
]
