"""PhraseCut."""

from pathlib import Path
from typing import Literal

from mmengine.dataset import BaseDataset

from mmdiffseg.datasets.damaged_files import NamesDamagedFiles
from mmdiffseg.datasets.files import check_files, read_json
from mmdiffseg.datasets.referring.refer import METAINFO
from mmdiffseg.registry import DATASETS

SUBSETS = ('all', 'seen', 'unseen')


@DATASETS.register_module()
class PhraseCutDataset(NamesDamagedFiles, BaseDataset):
    """PhraseCut (VGPhraseCut v0): a phrase means all instances that fit it.

    Every (image, phrase) task is a sample; phrases are lower-cased. Pipelines draw the masks by
    `mmdiffseg.LoadPolygonUnion`.

    Args:
        ann_file: ``refer_{train,val,test,miniv}.json``.
        subset: ``'all'`` tasks, or those whose noun is (``'seen'``) or is not (``'unseen'``) the
            name of one of COCO's 80 classes.
        data_root: What all paths are relative to.
        data_prefix: ``img_path``, the folder of the images.
        pipeline: Transforms of a sample.
        indices: Only the first so many samples.
        test_mode: Whether it is tested on.
    """

    METAINFO = METAINFO

    def __init__(
        self,
        *,
        ann_file: str,
        subset: Literal['all', 'seen', 'unseen'] = 'all',
        data_root: str = '',
        data_prefix: dict = dict(img_path='images'),
        pipeline: list[dict] = [],
        indices: int | None = None,
        test_mode: bool = True,
    ) -> None:
        if subset not in SUBSETS:
            raise ValueError(f'subset={subset!r} must be one of {SUBSETS}')
        self.subset = subset
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            pipeline=pipeline,
            indices=indices,
            test_mode=test_mode,
        )

    def load_data_list(self) -> list[dict]:
        """List the tasks.

        Raises:
            FileNotFoundError: The list or an image is missing.
            ValueError: No task is left.
        """
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'no list of tasks {self.ann_file}: set data_root and ann_file, see '
                'docs/datasets.md.'
            )
        tasks = [t for t in read_json(self.ann_file) if self._in_subset(t)]
        if not tasks:
            raise ValueError(f'{self.ann_file} has no task in the subset {self.subset!r}')
        folder = Path(self.data_prefix['img_path'])
        paths = {task['image_id']: folder / f'{task["image_id"]}.jpg' for task in tasks}
        check_files(
            list(paths.values()),
            what=f'images of {self.ann_file}',
            fix='set data_root and data_prefix, see docs/datasets.md.',
        )
        return [
            dict(
                img_path=str(paths[task['image_id']]),
                polygons=[polygon for instance in task['Polygons'] for polygon in instance],
                text=task['phrase'].lower(),
                sample_id=task['task_id'],
                ref_id=task['task_id'],
                sentence_index=0,
                kind=task['phrase_structure']['type'],
                seg_fields=[],
            )
            for task in tasks
        ]

    def _in_subset(self, task: dict) -> bool:
        if self.subset == 'all':
            return True
        from mmdet.evaluation import coco_classes  # needed by two of the three subsets only

        # 'traffic_light' there, 'traffic light' here
        seen = task['phrase_structure']['name'] in {n.replace('_', ' ') for n in coco_classes()}
        return seen == (self.subset == 'seen')
