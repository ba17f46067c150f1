"""Objects of Cityscapes, each in a crop of its own."""

from collections import Counter
from pathlib import PurePosixPath

import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files, read_parts
from mmdiffseg.datasets.transforms.instance_crop import crop_window
from mmdiffseg.diffusion.draws import check_seed
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class CityscapesInstanceDataset(NamesDamagedFiles, BaseSegDataset):
    """Objects of Cityscapes, each with the crop around its box and its mask in that crop (SegDiff).

    The lists come from `tools/dataset_converters/cityscapes_instances.py` and name the images below
    `data_prefix['img_path']`. Pipelines load a sample by LoadImageFromFile, `CropInstance` and
    `LoadInstanceMask`. Every sample decodes its whole image, so an image with many objects is
    decoded many times.

    Args:
        class_name: One of `CLASSES`; None takes the objects of all classes.
        expansion: Percentage by which a crop is larger than the box, or a range (low, high) of
            integers from which each object draws a percentage.
        redraw_expansion: Whether to draw at every access; by default each object draws once, as
            released.
        seed: Seed of the percentages drawn once. Those of a class depend only on it.
        **kwargs: Arguments of mmseg's ``BaseSegDataset`` except ``metainfo``.
    """

    CLASSES = ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')

    def __init__(
        self,
        *,
        class_name: str | None = None,
        expansion: float | tuple[int, int] = 0,
        redraw_expansion: bool = False,
        seed: int = 0,
        **kwargs,
    ) -> None:
        if class_name is not None and class_name not in self.CLASSES:
            raise ValueError(
                f'class_name={class_name!r} must be one of {", ".join(self.CLASSES)}, or None for '
                'all of them.'
            )
        is_range = isinstance(expansion, tuple | list)
        low, high = expansion if is_range else (expansion, expansion)
        if not 0 <= low <= high:
            raise ValueError(f'expansion={expansion} must be a percentage from 0, or (low, high).')
        if redraw_expansion and not is_range:
            raise ValueError(
                f'redraw_expansion=True needs a range to draw from, such as expansion=(10, 20), '
                f'got {expansion}.'
            )
        self.class_name = class_name
        self.expansion = expansion
        self.redraw_expansion = redraw_expansion
        check_seed(seed)
        self.seed = seed
        classes = ('background', class_name or 'object')
        metainfo = dict(classes=classes, palette=[[47, 50, 60], [243, 156, 18]])
        super().__init__(metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the objects: path and size of the image, box, components and expansion.

        `sample_id` names an object by its image, its class and its number among the objects of that
        class in the image; `image_class` is the index of its class.

        Raises:
            FileNotFoundError: The list or an image is missing.
            ValueError: The list holds no object of the class, or an object whose crop is empty.
        """
        name = type(self).__name__
        if not fileio.isfile(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'{name}: no list {self.ann_file}: set data_root, or make the list as '
                'docs/datasets.md says.'
            )
        lists = read_parts(self.ann_file, 'data', backend_args=self.backend_args)['data']
        samples = [
            sample
            for image_class, class_name in enumerate(self.CLASSES)
            if self.class_name in (None, class_name)
            for sample in self._list_class(image_class, lists[class_name])
        ]
        if not samples:
            raise ValueError(f'{name}: {self.ann_file} lists no {self.class_name or "object"}.')
        check_files(
            sorted({sample['img_path'] for sample in samples}),
            what=f'images of {name} in {self.ann_file}',
            fix='unpack leftImg8bit there as docs/datasets.md says, or set data_root.',
            backend_args=self.backend_args,
        )
        return samples

    def _list_class(self, image_class: int, entries: list[dict]) -> list[dict]:
        expansions = [self.expansion] * len(entries)
        if isinstance(self.expansion, tuple | list) and not self.redraw_expansion:
            low, high = self.expansion
            rng = np.random.default_rng([self.seed, image_class])
            expansions = rng.integers(low, high + 1, size=len(entries)).tolist()
        seen = Counter()
        samples = []
        for entry, expansion in zip(entries, expansions, strict=True):
            file_name = entry['img']['file_name']
            stem = PurePosixPath(file_name).stem.removesuffix('_leftImg8bit')
            sample = dict(
                img_path=fileio.join_path(self.data_prefix['img_path'], file_name),
                sample_id=f'{stem}_{self.CLASSES[image_class]}_{seen[stem]}',
                image_class=image_class,
                full_shape=(entry['img']['height'], entry['img']['width']),
                bbox=entry['bbox'],
                expansion=expansion,
                segmentation=entry['segmentation'],
                seg_fields=[],
            )
            self._check_window(sample)
            seen[stem] += 1
            samples.append(sample)
        return samples

    def _check_window(self, sample: dict) -> None:
        height, width = sample['full_shape']
        # checked at the low end of a range, where the crop is smallest
        low = np.min(sample['expansion'])
        left, top, right, bottom = crop_window(
            sample['bbox'], expansion=low, height=height, width=width
        )
        if left >= right or top >= bottom:
            raise ValueError(
                f'{self.ann_file}: the box {sample["bbox"]} (x, y, w, h) of {sample["sample_id"]} '
                f'leaves no pixel to crop from an image of {width}x{height}: remove that object '
                'from the list.'
            )
