"""Pictures and instances in COCO's format."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files, read_parts
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class InstanceMaskDataset(NamesDamagedFiles, BaseDataset):
    """Pictures and instances in COCO's format, as a source of episodes.

    The classes are those of the file, in the order of their ids there, and count from 1. The mask
    of a class is the union of its instances; regions of crowds belong to none of them. Pipelines
    load masks by `mmdiffseg.LoadInstanceUnion`.

    Args:
        ann_file: The annotations.
        data_root: What ``ann_file`` and ``data_prefix`` are relative to.
        data_prefix: ``img_path``, the folder of the images.
        pipeline: Transforms, where the dataset is no source of episodes but trains a refiner.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        data_root: str = '',
        data_prefix: dict,
        pipeline: Sequence[dict] = (),
    ) -> None:
        super().__init__(
            ann_file=ann_file, data_root=data_root, data_prefix=data_prefix, pipeline=pipeline
        )

    def load_data_list(self) -> list[dict]:
        """List the pictures and their instances.

        Raises:
            FileNotFoundError: The annotations or a picture are missing.
        """
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'no annotations {self.ann_file}: set data_root and ann_file, see docs/datasets.md.'
            )
        content = read_parts(self.ann_file, 'images', 'annotations', 'categories')
        categories = sorted(content['categories'], key=lambda category: category['id'])
        self._metainfo['classes'] = ('background', *(c['name'] for c in categories))
        self.class_ids = {c['id']: number for number, c in enumerate(categories, 1)}
        folder = Path(self.data_prefix['img_path'])
        samples = {
            image['id']: dict(
                img_path=str(folder / image['file_name']),
                size=(image['height'], image['width']),
                instances=[],
                seg_fields=[],
            )
            for image in sorted(content['images'], key=lambda image: image['file_name'])
        }
        for annotation in content['annotations']:
            if not annotation.get('iscrowd', 0):
                samples[annotation['image_id']]['instances'].append(
                    dict(
                        id=annotation['id'],
                        class_id=self.class_ids[annotation['category_id']],
                        segmentation=annotation['segmentation'],
                    )
                )
        check_files(
            [sample['img_path'] for sample in samples.values()],
            what=f'pictures in {self.ann_file}',
            fix='set data_root and data_prefix.',
        )
        return list(samples.values())
