"""Datasets and their transforms; importing this package registers all of them."""

from mmdiffseg.datasets import transforms
from mmdiffseg.datasets.ade20k import ADE20KDataset
from mmdiffseg.datasets.bev_map import BEVMapDataset, NuScenesMapDataset, ShapesMapDataset
from mmdiffseg.datasets.binary_seg import BinarySegDataset
from mmdiffseg.datasets.camvid import CamVidDataset
from mmdiffseg.datasets.cityscapes import CityscapesDataset
from mmdiffseg.datasets.cityscapes_instances import CityscapesInstanceDataset
from mmdiffseg.datasets.class_flips import CamVidFlipsDataset, CityscapesFlipsDataset
from mmdiffseg.datasets.depth_folder import DepthFolderDataset, NYUDataset, ShapesDepthDataset
from mmdiffseg.datasets.depth_list import KITTIDepthDataset, SUNRGBDDepthDataset
from mmdiffseg.datasets.in_context import (
    COCO20iDataset,
    CocoEpisodeDataset,
    InContextDataset,
    InstanceMaskDataset,
    ShapesInContextDataset,
    WeightedInfiniteSampler,
    WholeFrameSampler,
)
from mmdiffseg.datasets.multi_rater import MultiRaterDataset
from mmdiffseg.datasets.referring import PhraseCutDataset, RefCOCODataset
from mmdiffseg.datasets.seeded import SeededDataset, SeededInfiniteSampler
from mmdiffseg.datasets.seg_folder import FileChecks, SegFolderDataset
from mmdiffseg.datasets.shapes import ShapesDataset

__all__ = [
    'ADE20KDataset',
    'BEVMapDataset',
    'BinarySegDataset',
    'COCO20iDataset',
    'CamVidDataset',
    'CamVidFlipsDataset',
    'CityscapesDataset',
    'CityscapesFlipsDataset',
    'CityscapesInstanceDataset',
    'CocoEpisodeDataset',
    'DepthFolderDataset',
    'FileChecks',
    'InContextDataset',
    'InstanceMaskDataset',
    'KITTIDepthDataset',
    'MultiRaterDataset',
    'NYUDataset',
    'NuScenesMapDataset',
    'PhraseCutDataset',
    'RefCOCODataset',
    'SUNRGBDDepthDataset',
    'SeededDataset',
    'SeededInfiniteSampler',
    'SegFolderDataset',
    'ShapesDataset',
    'ShapesDepthDataset',
    'ShapesInContextDataset',
    'ShapesMapDataset',
    'WeightedInfiniteSampler',
    'WholeFrameSampler',
    'transforms',
]
