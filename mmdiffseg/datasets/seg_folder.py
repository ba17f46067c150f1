"""Images and label maps in two folders, checked for missing files."""

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from mmdiffseg.registry import DATASETS


class FileChecks:
    """Mixin for a `BaseSegDataset`: missing images and labels are reported before training starts.

    A class that uses it says in `how_to_get` where its data come from, and in `label_path` how
    samples name the file of their label.
    """

    label_path = 'seg_map_path'
    how_to_get = 'set data_root to the folder that holds it'

    def load_data_list(self) -> list[dict]:
        """List the images and their labels.

        Raises:
            FileNotFoundError: A folder does not exist, holds no images, or an image has no label.
        """
        name = type(self).__name__
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
            # One listing instead of a look at every file: file systems over a network are slow.
            labels = fileio.list_dir_or_file(
                label_dir, list_dir=False, recursive=True, backend_args=self.backend_args
            )
            labels = {fileio.join_path(label_dir, label) for label in labels}
            missing = [s for s in samples if s[self.label_path] not in labels]
            if missing:
                raise FileNotFoundError(
                    f'{name}: {len(missing)} of {len(samples)} images have no label, the first is '
                    f'{missing[0]["img_path"]}: add {missing[0][self.label_path]}, remove the '
                    f'image, or set {self.label_path.removesuffix("path")}suffix.'
                )
        return samples


@DATASETS.register_module()
class SegFolderDataset(FileChecks, BaseSegDataset):
    """Images in one folder and labels (PNGs of class ids, 255 is ignored) in another.

    Give the classes as `metainfo=dict(classes=(...), palette=[...])`.
    """
