"""Data sets whose switchable classes have twins; pipelines flip them by ``FlipClasses``."""

from collections.abc import Sequence
from pathlib import Path

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
    """Cityscapes with the twins of Probabilistic U-Net: labels 19 to 23.

    Args:
        cities: Take the images of these alone; None takes all.
        **kwargs: Arguments of mmseg's ``CityscapesDataset``.
    """

    METAINFO = _with_twins(
        CityscapesDataset.METAINFO, 'sidewalk', 'person', 'car', 'vegetation', 'road'
    )

    def __init__(self, *, cities: Sequence[str] | None = None, **kwargs) -> None:
        self.cities = cities
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images and their labels.

        Raises:
            FileNotFoundError: A city has no images.
        """
        samples = super().load_data_list()
        if self.cities is None:
            return samples
        found = [Path(sample['img_path']).parent.name for sample in samples]
        missing = [city for city in self.cities if city not in found]
        if missing:
            raise FileNotFoundError(
                f'{type(self).__name__}: no images of {missing[0]} in '
                f'{self.data_prefix["img_path"]}, which has {", ".join(sorted(set(found)))}: '
                'correct cities'
            )
        return [s for s, city in zip(samples, found, strict=True) if city in self.cities]
