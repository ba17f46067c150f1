from mmdiffseg.datasets.transforms.check_labels import CheckLabels
from mmdiffseg.datasets.transforms.color_jitter import ColorJitter
from mmdiffseg.datasets.transforms.instance_crop import CropInstance, LoadInstanceMask
from mmdiffseg.datasets.transforms.load_binary_mask import LoadBinaryMask
from mmdiffseg.datasets.transforms.resize_without_antialias import ResizeWithoutAntialias
from mmdiffseg.datasets.transforms.rotate_scale import RandomRotateScale

__all__ = [
    'CheckLabels',
    'ColorJitter',
    'CropInstance',
    'LoadBinaryMask',
    'LoadInstanceMask',
    'RandomRotateScale',
    'ResizeWithoutAntialias',
]
