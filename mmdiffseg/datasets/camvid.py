"""CamVid street scenes."""

from mmdiffseg.datasets.seg_folder import SegFolderDataset
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(SegFolderDataset):
    """CamVid street scenes with the usual 11 classes; unlabelled pixels are 255.

    The palette is that of the like-named Cityscapes classes.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'pavement',
            'tree',
            'sign_symbol',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [70, 130, 180],
            [70, 70, 70],
            [153, 153, 153],
            [128, 64, 128],
            [244, 35, 232],
            [107, 142, 35],
            [220, 220, 0],
            [190, 153, 153],
            [0, 0, 142],
            [220, 20, 60],
            [119, 11, 32],
        ],
    )
    how_to_get = 'set data_root, or prepare it as docs/datasets.md says'
