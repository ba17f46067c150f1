"""Transforms of the pipelines."""

from mmdiffseg.datasets.transforms.bev_maps import LoadBEVFeature, LoadMapMasks, PackMapInputs
from mmdiffseg.datasets.transforms.check_depth import CheckDepth
from mmdiffseg.datasets.transforms.check_labels import CheckLabels
from mmdiffseg.datasets.transforms.class_flips import FlipClasses
from mmdiffseg.datasets.transforms.color_aug import ColorAug
from mmdiffseg.datasets.transforms.color_jitter import ColorJitter
from mmdiffseg.datasets.transforms.corrupt import Corrupt
from mmdiffseg.datasets.transforms.crop_object import CropObject
from mmdiffseg.datasets.transforms.degrade_mask import DegradeMask, PackRefineInputs
from mmdiffseg.datasets.transforms.depth_crops import KBCrop, NYUCrop
from mmdiffseg.datasets.transforms.draw_instance import DrawInstance
from mmdiffseg.datasets.transforms.imitate_source import ImitateSource
from mmdiffseg.datasets.transforms.instance_crop import CropInstance, LoadInstanceMask
from mmdiffseg.datasets.transforms.labels_to_uint8 import LabelsToUint8
from mmdiffseg.datasets.transforms.load_binary_mask import LoadBinaryMask
from mmdiffseg.datasets.transforms.load_coarse_mask import LoadCoarseMask
from mmdiffseg.datasets.transforms.load_instance_union import LoadInstanceUnion
from mmdiffseg.datasets.transforms.load_polygon_union import LoadPolygonUnion
from mmdiffseg.datasets.transforms.load_raters import DrawRater, LoadRaters
from mmdiffseg.datasets.transforms.pack_in_context import PackInContextInputs
from mmdiffseg.datasets.transforms.pack_raters import PackRaterInputs
from mmdiffseg.datasets.transforms.resize_without_antialias import ResizeWithoutAntialias
from mmdiffseg.datasets.transforms.rotate_scale import RandomRotateScale
from mmdiffseg.datasets.transforms.score_at_input_size import ScoreAtInputSize
from mmdiffseg.datasets.transforms.select_concept import (
    SelectClass,
    SelectObject,
    SelectVideoClass,
)
from mmdiffseg.datasets.transforms.sun_rgbd_depth import DecodeSUNRGBDDepth

__all__ = [
    'CheckDepth',
    'CheckLabels',
    'ColorAug',
    'ColorJitter',
    'Corrupt',
    'CropInstance',
    'CropObject',
    'DecodeSUNRGBDDepth',
    'DegradeMask',
    'DrawInstance',
    'DrawRater',
    'FlipClasses',
    'ImitateSource',
    'KBCrop',
    'LabelsToUint8',
    'LoadBEVFeature',
    'LoadBinaryMask',
    'LoadCoarseMask',
    'LoadInstanceMask',
    'LoadInstanceUnion',
    'LoadMapMasks',
    'LoadRaters',
    'LoadPolygonUnion',
    'NYUCrop',
    'PackInContextInputs',
    'PackMapInputs',
    'PackRaterInputs',
    'PackRefineInputs',
    'RandomRotateScale',
    'ResizeWithoutAntialias',
    'ScoreAtInputSize',
    'SelectClass',
    'SelectObject',
    'SelectVideoClass',
]
