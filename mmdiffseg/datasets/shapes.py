"""The generated Shapes scenes."""

from mmdiffseg.datasets.seg_folder import SegFolderDataset
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class ShapesDataset(SegFolderDataset):
    """Generated scenes of six kinds of shapes, from `tools/dataset_converters/shapes.py`.

    For demos and tests; results on it are no benchmark.
    """

    METAINFO = dict(
        classes=(
            'background',
            'circle',
            'ellipse',
            'triangle',
            'square',
            'star',
            'ring',
        ),
        palette=[
            [47, 50, 60],
            [231, 76, 60],
            [243, 156, 18],
            [247, 220, 90],
            [46, 184, 92],
            [52, 132, 219],
            [240, 120, 170],
        ],
    )
    how_to_get = (
        'set data_root, or generate it by '
        '`python tools/dataset_converters/shapes.py --out data/shapes`'
    )
