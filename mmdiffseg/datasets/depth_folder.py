"""Depth maps in a folder of images and a folder of depth maps."""

from mmseg.datasets import NYUDataset as MMSegNYUDataset

from mmdiffseg.datasets.seg_folder import FileChecks
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class NYUDataset(FileChecks, MMSegNYUDataset):
    """MMSegmentation's NYU depth v2, with its files checked first."""

    label_path = 'depth_map_path'
    how_to_get = 'set data_root, or prepare it as docs/datasets.md says'


@DATASETS.register_module()
class DepthFolderDataset(NYUDataset):
    """Images in one folder and depth maps of the same names (PNGs of one channel) in another.

    What their values mean is said in the pipeline, by `depth_rescale_factor` of
    LoadDepthAnnotation; 0 is where nothing was measured.

    Example:
        >>> dataset = DepthFolderDataset(
        ...     data_root='data/rooms', pipeline=[...],
        ...     data_prefix=dict(img_path='images/train', depth_map_path='depth/train'))
    """

    METAINFO = dict(classes=(), palette=[])
    how_to_get = FileChecks.how_to_get

    def _get_category_id_from_filename(self, image_fname: str) -> int:
        return -1  # the rooms are NYU's


@DATASETS.register_module()
class ShapesDepthDataset(DepthFolderDataset):
    """Depths of the generated scenes of `tools/dataset_converters/shapes.py`, in millimetres.

    For demos and tests; results on it are no benchmark.
    """

    how_to_get = (
        'set data_root, or generate it by '
        '`python tools/dataset_converters/shapes.py --out data/shapes`'
    )
