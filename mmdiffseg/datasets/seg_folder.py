"""Images and label maps in two folders, checked for missing files."""

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files
from mmdiffseg.registry import DATASETS


class FileChecks(NamesDamagedFiles):
    """Mixin for a `BaseSegDataset`: missing images and labels are reported before training starts.

    A class that uses it says in `how_to_get` where its data come from, and in `label_path` how
    samples name the file of their label.
    """

    label_path = 'seg_map_path'
    how_to_get = 'set data_root to the folder that holds it'

    def load_data_list(self) -> list[dict]:
        """List the images and their labels.

        Raises:
            FileNotFoundError: A folder does not exist, holds no images, an image has no label, or a
                label no image and there is no ``ann_file`` that leaves it out.
        """
        name = type(self).__name__
        if self.ann_file and not fileio.exists(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'{name}: no list {self.ann_file}: set data_root and ann_file')
        image_dir, label_dir = (self.data_prefix.get(k) for k in ('img_path', self.label_path))
        for folder in filter(None, (image_dir, label_dir)):
            if not fileio.isdir(folder, backend_args=self.backend_args):
                raise FileNotFoundError(f'{name}: no folder {folder}: {self.how_to_get}.')
        samples = super().load_data_list()
        if not samples:
            raise FileNotFoundError(
                f"{name}: no image '*{self.img_suffix}' in {image_dir}: {self.how_to_get}, "
                'or set img_suffix.'
            )
        if label_dir:
            check_files(
                [sample[self.label_path] for sample in samples],
                what=f'labels of {name}',
                fix='add it, remove its image, or set '
                f'{self.label_path.removesuffix("path")}suffix.',
                backend_args=self.backend_args,
            )
            if self.ann_file:
                check_files(
                    [sample['img_path'] for sample in samples],
                    what=f'images of {name} in {self.ann_file}',
                    fix='add it, or take its name out of the list.',
                    backend_args=self.backend_args,
                )
            else:
                self._look_for_labels_alone(label_dir, samples)
        return samples

    def _look_for_labels_alone(self, folder: str, samples: list[dict]) -> None:
        files = fileio.list_dir_or_file(
            folder,
            list_dir=False,
            suffix=self.seg_map_suffix,
            recursive=True,
            backend_args=self.backend_args,
        )
        labels = {fileio.join_path(folder, file) for file in files}
        alone = sorted(labels - {sample[self.label_path] for sample in samples})
        if alone:
            raise FileNotFoundError(
                f'{len(alone)} of {len(labels)} labels of {type(self).__name__} have no image, the '
                f'first is {alone[0]}: add the image, remove the label, or list the names to use '
                'in an ann_file.'
            )


@DATASETS.register_module()
class SegFolderDataset(FileChecks, BaseSegDataset):
    """Images in one folder and labels (PNGs of class ids, 255 is ignored) in another.

    Give the classes as `metainfo=dict(classes=(...), palette=[...])`.

    Example:
        >>> dataset = SegFolderDataset(
        ...     data_root='data/roads', metainfo=dict(classes=('background', 'road')),
        ...     data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        ...     pipeline=[...])
    """
