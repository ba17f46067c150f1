"""Images with several label maps each, one folder a rater."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmdiffseg.datasets.files import read_json
from mmdiffseg.datasets.seg_folder import SegFolderDataset
from mmdiffseg.datasets.transforms.load_binary_mask import Foreground
from mmdiffseg.registry import DATASETS


@DATASETS.register_module()
class MultiRaterDataset(SegFolderDataset):
    """Images in one folder, and label files (PNGs of class ids) by several raters.

    A label is named like its image. Training pipelines load one rater a visit by
    ``mmdiffseg.DrawRater``, testing pipelines all by ``mmdiffseg.LoadRaters``. Give the classes as
    ``metainfo=dict(classes=(...), palette=[...])``.

    Args:
        raters: Folder of each rater below ``data_root``, or patterns for them: ``'rater*/train'``
            finds ``rater1/train``, ``rater2/train``, ... A rater is called by the part of the
            folder that the pattern leaves open, here ``rater1``, or else by the first part.
        foreground: None for files of class ids; otherwise what is foreground in a mask file, as in
            :class:`BinarySegDataset`.
        weights_file: JSON of ``{image: {rater: weight}}`` below ``data_root``, where the raters are
            the modes of a known distribution. An image has just the raters named there.
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.

    Example:
        >>> dataset = MultiRaterDataset(
        ...     data_root='data/chase_db1', raters='rater*/train', img_suffix='.jpg',
        ...     data_prefix=dict(img_path='images/train'),
        ...     metainfo=dict(classes=('background', 'vessel')), pipeline=[...])
    """

    def __init__(
        self,
        *,
        raters: str | Sequence[str],
        foreground: Foreground | None = None,
        weights_file: str | None = None,
        **kwargs,
    ) -> None:
        self.raters = [raters] if isinstance(raters, str) else list(raters)
        self.foreground = foreground
        self.weights_file = weights_file
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images and the label files of their raters.

        Raises:
            FileNotFoundError: A folder is missing, or an image has no rater.
            ValueError: The weights do not fit the files.
        """
        samples = super().load_data_list()
        folders = self._rater_folders()
        files = {
            name: {
                path.relative_to(folder).as_posix().removesuffix(self.seg_map_suffix): str(path)
                for path in folder.rglob(f'*{self.seg_map_suffix}')
            }
            for name, folder in folders.items()
        }
        image_dir = Path(self.data_prefix['img_path'])
        for sample in samples:
            name = Path(sample['img_path']).relative_to(image_dir).as_posix()
            sample['name'] = name.removesuffix(self.img_suffix)
            sample['rater_paths'] = {
                rater: paths[sample['name']]
                for rater, paths in files.items()
                if sample['name'] in paths
            }
            sample.update(
                num_classes=len(self.metainfo['classes']),
                ignore_index=self.ignore_index,
                foreground=self.foreground,
            )
        if self.weights_file:
            self._take_weights(samples)
        else:
            self._report_missing(samples, folders)
        return samples

    def _rater_folders(self) -> dict[str, Path]:
        folders = {}
        for pattern in self.raters:
            parts = Path(pattern).parts
            # the part with a wildcard names the rater
            at = next((i for i, part in enumerate(parts) if re.search(r'[*?\[]', part)), 0)
            found = [path for path in Path(self.data_root or '.').glob(pattern) if path.is_dir()]
            if not found:
                raise FileNotFoundError(
                    f'{type(self).__name__}: no rater, as no folder below {self.data_root} fits '
                    f'raters={pattern!r}: {self.how_to_get}, or set raters.'
                )
            for path in sorted(found, key=_natural):
                name = path.parts[len(path.parts) - len(parts) + at]
                if name in folders:
                    raise ValueError(
                        f'{type(self).__name__}: {folders[name]} and {path} are both called '
                        f'{name!r}: let each pattern of raters leave the part of the folder open '
                        'that tells raters apart.'
                    )
                folders[name] = path
        return folders

    def _report_missing(self, samples: list[dict], folders: dict[str, Path]) -> None:
        alone = [sample for sample in samples if not sample['rater_paths']]
        if alone:
            raise FileNotFoundError(
                f'{type(self).__name__}: {len(alone)} of {len(samples)} images have no rater, the '
                f'first is {alone[0]["img_path"]}: add {alone[0]["name"]}{self.seg_map_suffix} to '
                f'one of {", ".join(map(str, folders.values()))}, remove the image, or set '
                'seg_map_suffix.'
            )
        for rater in folders:
            missing = [s['img_path'] for s in samples if rater not in s['rater_paths']]
            if missing:
                print_log(
                    f'{type(self).__name__}: {rater} labelled {len(samples) - len(missing)} of '
                    f'{len(samples)} images, not {missing[0]}'
                    + (', for example' if len(missing) > 1 else '')
                    + ': such images have fewer raters.',
                    logger='current',
                    level=logging.WARNING,
                )

    def _take_weights(self, samples: list[dict]) -> None:
        path = Path(self.data_root or '.') / self.weights_file
        if not path.is_file():
            raise FileNotFoundError(f'{type(self).__name__}: no weights_file {path}.')
        weights = read_json(path)
        for sample in samples:
            of_image = weights.get(sample['name'], {})
            missing = sorted(of_image.keys() - sample['rater_paths'].keys())
            if missing or abs(sum(of_image.values()) - 1) > 1e-6:
                raise ValueError(
                    f'{path}: the weights of {sample["name"]} add up to '
                    f'{sum(of_image.values()):.6g} instead of 1'
                    + (f', and {missing[0]} has no label of it' if missing else '')
                    + ': make weights and labels by the same tool.'
                )
            sample['rater_paths'] = {rater: sample['rater_paths'][rater] for rater in of_image}
            sample['rater_weights'] = list(of_image.values())


def _natural(path: Path) -> list:
    """Sort key by which rater2 comes before rater10."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', str(path))]
