"""ADE20K."""

from mmseg.datasets import ADE20KDataset as MMSegADE20KDataset

from mmdiffseg.datasets.seg_folder import FileChecks
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class ADE20KDataset(FileChecks, MMSegADE20KDataset):
    """MMSegmentation's ADE20K, with its files checked first."""

    how_to_get = 'set data_root, or prepare it as docs/datasets.md says'
