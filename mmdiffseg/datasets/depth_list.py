"""Depth maps that a list names: KITTI and SUN RGB-D."""

from pathlib import PurePath

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files, read_text
from mmdiffseg.registry import DATASETS


class DepthListDataset(NamesDamagedFiles, BaseSegDataset):
    """Images and depth maps that a list names.

    Each line of `ann_file` holds an image below `data_prefix['img_path']` and its depth map below
    `data_prefix['depth_map_path']`, or None; further columns are ignored. Images without a depth
    map are left out, as in DDP's code.
    """

    METAINFO = dict(classes=(), palette=[])

    def load_data_list(self) -> list[dict]:
        """List the images and their depth maps; `sample_id` is unique across folders.

        Raises:
            FileNotFoundError: The list, an image or a depth map is missing.
            ValueError: A line names only an image, or no line names an image with a depth map.
        """
        name = type(self).__name__
        if not fileio.isfile(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'{name}: no list {self.ann_file}: set data_root and ann_file, or get the list as '
                'docs/datasets.md says.'
            )
        text = read_text(self.ann_file, backend_args=self.backend_args)
        # columns: image, depth, focal length; some lists begin a path with a slash
        lines = [[part.lstrip('/') for part in line.split()] for line in text.splitlines()]
        for number, line in enumerate(lines, start=1):
            if len(line) == 1:
                raise ValueError(
                    f'{name}: line {number} of {self.ann_file} names {line[0]} but no depth map: '
                    "add its path, or 'None'."
                )
        samples = [
            dict(
                img_path=fileio.join_path(self.data_prefix['img_path'], image),
                depth_map_path=fileio.join_path(self.data_prefix['depth_map_path'], depth),
                sample_id='_'.join(PurePath(image).with_suffix('').parts),
                seg_fields=[],
            )
            for image, depth, *_ in filter(None, lines)
            if depth != 'None'
        ]
        if not samples:
            raise ValueError(f'{name}: {self.ann_file} names no image with a depth map.')
        check_files(
            [sample[key] for sample in samples for key in ('img_path', 'depth_map_path')],
            what=f'files in {self.ann_file}',
            fix='set data_root, or prepare it as docs/datasets.md says.',
            backend_args=self.backend_args,
        )
        return samples


@DATASETS.register_module()
class KITTIDepthDataset(DepthListDataset):
    """KITTI's depth maps by the split of Eigen et al.: 23158 training and 652 test images.

    The test list names 697 images; 45 of them have no depth map.
    """


@DATASETS.register_module()
class SUNRGBDDepthDataset(DepthListDataset):
    """SUN RGB-D, whose 5050 test images show how a model trained on NYU transfers to new rooms.

    The pipeline decodes the depth maps by `DecodeSUNRGBDDepth`.
    """
