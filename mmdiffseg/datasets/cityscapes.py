"""Cityscapes."""

from mmseg.datasets import CityscapesDataset as MMSegCityscapesDataset

from mmdiffseg.datasets.seg_folder import FileChecks
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class CityscapesDataset(FileChecks, MMSegCityscapesDataset):
    """MMSegmentation's Cityscapes, with its files checked first."""

    how_to_get = 'set data_root, or prepare it as docs/datasets.md says'
