"""RefCOCO, RefCOCO+ and RefCOCOg."""

from pathlib import Path
from typing import Literal

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files, read_json
from mmdiffseg.datasets.referring.refer_files import read_refs
from mmdiffseg.registry import DATASETS

METAINFO = dict(classes=('background', 'referred'), palette=[[47, 50, 60], [243, 156, 18]])


@DATASETS.register_module()
class RefCOCODataset(NamesDamagedFiles, BaseDataset):
    """RefCOCO, RefCOCO+, RefCOCOg, and all that comes in the files of REFER.

    A reference is an instance and several sentences that mean it. Samples are in the order of the
    file, and two references to the same instance are two. Pipelines load the masks by
    `mmdiffseg.LoadInstanceUnion`.

    Args:
        ann_file: COCO's ``instances.json``.
        split_file: The references, a pickle or json, below ``data_root`` unless it is absolute.
        split: ``train``, ``val``, ``testA``, ``testB`` or ``test``; ``test`` is every split with
            ``test`` in its name.
        text_key: ``'sent'``, the cleaned sentence, or ``'raw'``, as people typed it.
        sample_by: ``'sentence'``: a sample has one ``text``; ``'ref'``: it has all ``texts`` of a
            reference.
        data_root: What all paths are relative to.
        data_prefix: ``img_path``, the folder of the images.
        pipeline: Transforms of a sample.
        indices: Only the first so many samples.
        test_mode: Whether it is tested on.

    Example:
        >>> dataset = RefCOCODataset(
        ...     data_root='data/refer', ann_file='refcoco/instances.json',
        ...     split_file='refcoco/refs(unc).p', split='testA', pipeline=[...],
        ...     data_prefix=dict(img_path='images/mscoco/images/train2014'))
    """

    METAINFO = METAINFO

    def __init__(
        self,
        *,
        ann_file: str = 'instances.json',
        split_file: str,
        split: str,
        text_key: Literal['sent', 'raw'] = 'sent',
        sample_by: Literal['sentence', 'ref'] = 'sentence',
        data_root: str = '',
        data_prefix: dict = dict(img_path='train2014'),
        pipeline: list[dict] = [],
        indices: int | None = None,
        test_mode: bool = True,
    ) -> None:
        if text_key not in ('sent', 'raw'):
            raise ValueError(f"text_key={text_key!r} must be 'sent' or 'raw'")
        if sample_by not in ('sentence', 'ref'):
            raise ValueError(f"sample_by={sample_by!r} must be 'sentence' or 'ref'")
        self.split_file = Path(data_root) / split_file
        self.split = split
        self.text_key = text_key
        self.sample_by = sample_by
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            pipeline=pipeline,
            indices=indices,
            test_mode=test_mode,
        )

    def load_data_list(self) -> list[dict]:
        """List the sentences of the split.

        References to nothing (``no_target``, in gRefCOCO) are left out, and counted in the log.

        Raises:
            FileNotFoundError: The references, the instances or an image are missing.
            ValueError: There is no such split, or a reference means an instance that is not there.
        """
        refs = read_refs(self.split_file)
        mine = [ref for ref in refs if self._has(ref['split'])]
        if not mine:
            splits = ', '.join(sorted({ref['split'] for ref in refs}))
            raise ValueError(f'{self.split_file} has no split {self.split!r}, but {splits}')
        kept = [ref for ref in mine if not ref.get('no_target')]
        if len(kept) < len(mine):
            print_log(
                f'{self.split_file}: {len(mine) - len(kept)} of {len(mine)} references mean '
                'nothing in their image and are left out',
                logger='current',
            )
        images, annotations = self._read_instances()
        samples = []
        for ref in kept:
            if ref['ann_id'] not in annotations:
                raise ValueError(
                    f'{self.split_file}: reference {ref["ref_id"]} means annotation '
                    f'{ref["ann_id"]}, which is not in {self.ann_file}'
                )
            samples += self._samples_of(ref, images[ref['image_id']], annotations[ref['ann_id']])
        check_files(
            sorted({sample['img_path'] for sample in samples}),
            what=f'images that {self.split_file.name} refers to',
            fix='set data_root and data_prefix, see docs/datasets.md.',
        )
        return samples

    def _has(self, split: str) -> bool:
        return 'test' in split if self.split == 'test' else split == self.split

    def _read_instances(self) -> tuple[dict, dict]:
        """Images and annotations by their ids."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(
                f'no instances {path}: set data_root and ann_file, see docs/datasets.md.'
            )
        content = read_json(path)
        try:
            images, annotations = (
                {item['id']: item for item in content[key]} for key in ('images', 'annotations')
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f'{path} does not hold images and annotations as COCO has them: {error!r}'
            ) from error
        return images, annotations

    def _samples_of(self, ref: dict, image: dict, annotation: dict) -> list[dict]:
        # REFER's own file_name is that of a crop; the image's is the one on disk
        common = dict(
            img_path=str(Path(self.data_prefix['img_path']) / image['file_name']),
            size=(image['height'], image['width']),
            instances=[dict(id=annotation['id'], segmentation=annotation['segmentation'])],
            instance_ids=[annotation['id']],
            ref_id=ref['ref_id'],
            seg_fields=[],
        )
        sentences = [
            dict(
                text=sentence[self.text_key].strip(),
                sent_id=sentence['sent_id'],
                sentence_index=index,
                kind=sentence.get('kind'),
            )
            for index, sentence in enumerate(ref['sentences'])
        ]
        if self.sample_by == 'sentence':
            return [{**common, **s, 'sample_id': f'sentence{s["sent_id"]}'} for s in sentences]
        together = {f'{key}s': [s[key] for s in sentences] for key in ('text', 'sent_id', 'kind')}
        return [{**common, **together, 'sample_id': f'ref{ref["ref_id"]}'}]
