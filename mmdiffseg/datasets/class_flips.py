"""Data sets whose switchable classes have twins; pipelines flip them by ``FlipClasses``."""

from mmdiffseg.datasets.camvid import CamVidDataset
from mmdiffseg.datasets.cityscapes import CityscapesDataset
from mmdiffseg.registry import DATASETS


def _with_twins(metainfo: dict, *classes: str) -> dict:
    """The classes of a data set, and a twin of each of ``classes`` in a paler colour."""
    names, palette = list(metainfo['classes']), list(metainfo['palette'])
    for name in classes:
        color = palette[names.index(name)]
        names.append(f'{name}_2')
        palette.append([(channel + 255) // 2 for channel in color])
    return dict(classes=tuple(names), palette=palette)


@DATASETS.register_module()
class CamVidFlipsDataset(CamVidDataset):
    """CamVid with twins of five classes: labels 11 to 15."""

    METAINFO = _with_twins(CamVidDataset.METAINFO, 'pavement', 'pedestrian', 'car', 'tree', 'road')


@DATASETS.register_module()
class CityscapesFlipsDataset(CityscapesDataset):
    """Cityscapes with the twins of Probabilistic U-Net: labels 19 to 23."""

    METAINFO = _with_twins(
        CityscapesDataset.METAINFO, 'sidewalk', 'person', 'car', 'vegetation', 'road'
    )
