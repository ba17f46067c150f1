"""Annotation files of COCO, and others in their format, as mmdet reads them."""

from json import JSONDecodeError

from mmengine import fileio

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles

PARTS = ('images', 'annotations', 'categories')


class CocoFileChecks(NamesDamagedFiles):
    """Mixin for a data set of mmdet, which says what is wrong with which annotation file."""

    def load_data_list(self) -> list[dict]:
        """List the images and what they show.

        Raises:
            FileNotFoundError: There is no annotation file.
            ValueError: It is not JSON in the format of COCO.
        """
        if not fileio.exists(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'there is no annotation file {self.ann_file}: set data_root and ann_file'
            )
        try:
            return super().load_data_list()
        except (JSONDecodeError, UnicodeDecodeError, AssertionError, KeyError) as error:
            if isinstance(error, KeyError) and error.args[0] not in PARTS:
                raise
            raise ValueError(
                f'{self.ann_file} is damaged or not a COCO annotation file: {error!r}'
            ) from error
