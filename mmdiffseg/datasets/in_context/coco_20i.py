"""COCO-20i."""

from mmdiffseg.datasets.seg_folder import SegFolderDataset
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class COCO20iDataset(SegFolderDataset):
    """COCO 2014 with label maps of its 80 classes, numbered from 1 in COCO's order, as HSNet's."""

    METAINFO = dict(
        classes=(
            'background',
            *('person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck'),
            *('boat', 'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench'),
            *('bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra'),
            *('giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis'),
            *('snowboard', 'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard'),
            *('surfboard', 'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife'),
            *('spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot'),
            *('hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed'),
            *('dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote', 'keyboard'),
            *('cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book'),
            *('clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush'),
        )
    )
    how_to_get = 'set data_root, or prepare it as docs/datasets.md says'
