"""Bird's-eye-view features with rasterised maps."""

from mmseg.datasets import BaseSegDataset

from mmdiffseg.datasets.seg_folder import FileChecks
from mmdiffseg.datasets.shapes import ShapesDataset
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class BEVMapDataset(FileChecks, BaseSegDataset):
    """BEV features, or images, in one folder and rasterised maps of the same names in another.

    Pipelines load a feature by `LoadBEVFeature`, a map by `LoadMapMasks` and pack both by
    `PackMapInputs`. An `ann_file` lists names without a suffix; one that names a sample several
    times resamples it. Give the classes as `metainfo=dict(classes=(...))`.

    Example:
        >>> dataset = BEVMapDataset(
        ...     data_root='data/mine', metainfo=dict(classes=('road', 'walkway')), pipeline=[...],
        ...     data_prefix=dict(img_path='features/train', seg_map_path='maps/train'))
    """

    def __init__(self, *, img_suffix: str = '.npy', seg_map_suffix: str = '.npz', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class NuScenesMapDataset(BEVMapDataset):
    """BEV features of nuScenes and its six map layers, exported as docs/bev.md says."""

    METAINFO = dict(
        classes=(
            'drivable_area',
            'ped_crossing',
            'walkway',
            'stop_line',
            'carpark_area',
            'divider',
        ),
        palette=[
            [166, 206, 227],
            [251, 154, 153],
            [227, 26, 28],
            [253, 191, 111],
            [255, 127, 0],
            [106, 61, 154],
        ],
    )
    how_to_get = 'set data_root, or export it as docs/bev.md says'


@DATASETS.register_module()
class ShapesMapDataset(BEVMapDataset):
    """The generated scenes of `tools/dataset_converters/shapes.py` and the maps of their cards.

    The picture looks down on a pile of cards. Its map has a layer for every kind of shape, in which
    what lies below another card is there as well.

    For demos and tests; results on it are no benchmark.
    """

    METAINFO = {name: values[1:] for name, values in ShapesDataset.METAINFO.items()}
    how_to_get = ShapesDataset.how_to_get

    def __init__(self, *, img_suffix: str = '.jpg', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, **kwargs)
