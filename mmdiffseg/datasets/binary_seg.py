"""Binary masks in a folder of images and a folder of masks."""

from collections.abc import Sequence

import numpy as np

from mmdiffseg.datasets.seg_folder import SegFolderDataset
from mmdiffseg.datasets.transforms.load_binary_mask import Foreground, read_binary_mask
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class BinarySegDataset(SegFolderDataset):
    """Images in one folder and binary masks (PNGs of one channel) in another.

    Pipelines load the masks by `mmdiffseg.LoadBinaryMask`. `metainfo=dict(classes=(...))` may name
    the two classes otherwise.

    Args:
        foreground: What is foreground in a mask file: its value, beside which only 0 and
            ``ignore_index`` may occur (255 for masks of 0 and 255, which then ignore nothing); or
            ``'nonzero'``, every value but 0.
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.

    Example:
        >>> dataset = BinarySegDataset(
        ...     data_root='data/cracks', foreground=255, img_suffix='.jpg', seg_map_suffix='.png',
        ...     data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        ...     pipeline=[...])
    """

    METAINFO = dict(classes=('background', 'foreground'), palette=[[47, 50, 60], [243, 156, 18]])

    def __init__(self, *, foreground: Foreground = 1, **kwargs) -> None:
        if foreground != 'nonzero' and (not isinstance(foreground, int) or foreground < 1):
            raise ValueError(
                f"foreground={foreground!r} must be a value above 0 or 'nonzero'; 0 is background"
            )
        self.foreground = foreground
        super().__init__(**kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> None:
        """Let two classes have any names; there is nothing to map.

        Raises:
            ValueError: There are not two.
        """
        if len(new_classes) != 2:
            raise ValueError(
                f'{cls.__name__} has 2 classes, background first, got {tuple(new_classes)}: '
                'use mmdiffseg.SegFolderDataset for more.'
            )

    def load_data_list(self) -> list[dict]:
        """List the images and their masks.

        Raises:
            FileNotFoundError: A folder or a mask is missing.
            ValueError: A mask is not binary, or all of a training or validation set are empty.
        """
        samples = super().load_data_list()
        for sample in samples:
            sample.update(foreground=self.foreground, ignore_index=self.ignore_index)
        if self.data_prefix.get('seg_map_path') and not self.test_mode:
            self._look_for_foreground(samples)
        return samples

    def _look_for_foreground(self, samples: list[dict]) -> None:
        values = set()
        for sample in samples:
            mask = read_binary_mask(
                sample['seg_map_path'],
                foreground=self.foreground,
                ignore_index=self.ignore_index,
                backend_args=self.backend_args,
            )
            values.update(np.unique(mask).tolist())
            if 1 in values:  # mostly in the first mask or two
                return
        ignored = f', of which {self.ignore_index} is ignored' if len(values) > 1 else ''
        raise ValueError(
            f'{type(self).__name__}: all {len(samples)} masks in '
            f'{self.data_prefix["seg_map_path"]} are empty: they hold '
            f'{" and ".join(map(str, sorted(values)))}{ignored}; check foreground='
            f'{self.foreground!r}, or set test_mode=True if a test set is meant to be.'
        )
