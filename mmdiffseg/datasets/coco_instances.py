"""COCO's instance annotations, or others in their format."""

from mmdet.datasets import CocoDataset as MMDetCocoDataset

from mmdiffseg.datasets.coco_files import CocoFileChecks
from mmdiffseg.datasets.transforms.load_instance_union import check_run_lengths
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class CocoDataset(CocoFileChecks, MMDetCocoDataset):
    """mmdet's dataset, which says before training starts what is missing or does not fit.

    Takes mmdet's arguments. Give classes of your own as ``metainfo=dict(classes=(...))``, under
    their names in the annotation file.

    Example:
        >>> dataset = CocoDataset(
        ...     data_root='data/cells', ann_file='annotations/train.json', pipeline=[...],
        ...     data_prefix=dict(img='images/train'), metainfo=dict(classes=('cell',)))
    """

    def load_data_list(self) -> list[dict]:
        """List the images and their instances.

        Raises:
            FileNotFoundError: There is no annotation file.
            ValueError: It is none, lacks a class, has a mask whose run lengths do not fill its
                image, or no instance to train on.
        """
        samples = super().load_data_list()
        if not self.test_mode and not any(sample['instances'] for sample in samples):
            raise ValueError(
                f'{self.ann_file} holds no instance of {", ".join(self.metainfo["classes"])}: '
                'check it'
            )
        return samples

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """List the instances of one image.

        Raises:
            ValueError: A class is none of the file's, or a mask does not fill the image.
        """
        if len(self.cat_ids) != len(self.metainfo['classes']):
            raise ValueError(
                f'not all of the {len(self.metainfo["classes"])} classes are categories of '
                f'{self.ann_file}, which are {[c["name"] for c in self.coco.cats.values()]}: give '
                'metainfo=dict(classes=(...))'
            )
        image = raw_data_info['raw_img_info']
        for annotation in raw_data_info['raw_ann_info']:
            if isinstance(annotation.get('segmentation'), dict):
                try:
                    check_run_lengths(annotation['segmentation'], image['height'], image['width'])
                except ValueError as error:
                    raise ValueError(
                        f'{self.ann_file}: annotation {annotation["id"]}: {error}'
                    ) from error
        return super().parse_data_info(raw_data_info)
