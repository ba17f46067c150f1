"""COCO's panoptic annotations, or others in their format."""

from functools import cached_property

from mmdet.datasets import CocoPanopticDataset as MMDetCocoPanopticDataset

from mmdiffseg.datasets.coco_files import CocoFileChecks
from mmdiffseg.datasets.files import check_files
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class CocoPanopticDataset(CocoFileChecks, MMDetCocoPanopticDataset):
    """mmdet's dataset, which says before training starts what is missing or does not fit.

    Takes mmdet's arguments. Give classes of your own as
    ``metainfo=dict(classes=(...), thing_classes=(...), stuff_classes=(...))``, things first, under
    the names and in the order of the ``categories`` in the annotation file.
    """

    def load_data_list(self) -> list[dict]:
        """List the images and their segments.

        Raises:
            FileNotFoundError: There is no annotation file, or an image has no panoptic PNG.
            ValueError: The classes are not those of the file, a segment has none of them, or there
                are no segments.
        """
        samples = super().load_data_list()
        if not any(sample['segments_info'] for sample in samples):
            raise ValueError(f'{self.ann_file} holds no segment of any image: check it')
        self._check_pngs(samples)
        return samples

    @cached_property
    def category_names(self) -> tuple[str, ...]:
        """Name of every label in the annotation file; known while that is being loaded."""
        return tuple(self.coco.cats[category]['name'] for category in self.cat_ids)

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """List the segments of one image.

        Raises:
            ValueError: The classes are not those of the file, or a segment has none of them.
        """
        if self.category_names != tuple(self.metainfo['classes']):
            raise ValueError(
                f'the classes are not categories of {self.ann_file} in its order, which are '
                f'{[category["name"] for category in self.coco.cats.values()]}: give '
                'metainfo=dict(classes=(...), thing_classes=(...), stuff_classes=(...))'
            )
        for segment in raw_data_info['raw_ann_info']:
            if segment['category_id'] not in self.cat2label:
                raise ValueError(
                    f'{self.ann_file}: image {segment["image_id"]} has a '
                    f'segment of category {segment["category_id"]}, which is none of the '
                    f'{len(self.cat2label)} classes'
                )
        return super().parse_data_info(raw_data_info)

    def _check_pngs(self, samples: list[dict]) -> None:
        folder = self.data_prefix.get('seg')
        if not folder:
            return
        check_files(
            [sample['seg_map_path'] for sample in samples],
            what=f'panoptic PNGs of {self.ann_file}',
            fix='unpack the PNGs there, or set data_prefix',
            backend_args=self.backend_args,
        )
