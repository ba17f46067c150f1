"""The bases of COCO, and of ADE20K as DFormer prepares it, on generated files of their layouts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, init_default_scope
from mmengine.runner import Runner

# as configs/_base_/mmdet_runtime.py has them
import mmdiffseg.datasets.coco_instances  # noqa: F401
import mmdiffseg.datasets.coco_panoptic  # noqa: F401

BASES = Path(__file__).parents[2] / 'configs/_base_/datasets'
THINGS = ('circle', 'ellipse', 'triangle', 'square', 'star', 'ring')


def load(task, root):
    """A base of COCO on Shapes, which has the same files under other names."""
    cfg = Config.fromfile(BASES / f'coco_{task}.py')
    init_default_scope('mmdet')
    kind = dict(panoptic='panoptic', instance='instances')[task]
    metainfo = dict(classes=THINGS, palette=None)
    if task == 'panoptic':
        metainfo = dict(
            classes=(*THINGS, 'background'), thing_classes=THINGS, stuff_classes=('background',)
        )
    loaders = []
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(root),
            ann_file=f'annotations/{kind}_{split}.json',
            data_prefix=dict(img=f'images/{split}', seg=f'panoptic/{split}'),
            metainfo=metainfo,
        )
        loaders.append(Runner.build_dataloader(loader, seed=0))
    return cfg, *loaders


@pytest.mark.parametrize('task', ['panoptic', 'instance'])
def test_large_scale_jittering_gives_one_size(task, shapes_root):
    np.random.seed(0)  # scales from 0.1 to 2, not all of which fill the picture
    _, train, _ = load(task, shapes_root)
    batch = next(iter(train))
    assert len(batch['inputs']) == 3
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        assert image.shape == (3, 1024, 1024) and image.dtype == torch.uint8
        masks = sample.gt_instances.masks
        assert (masks.height, masks.width) == (1024, 1024)
        assert len(masks.masks) == len(sample.gt_instances.labels)
        if task == 'panoptic':
            sem_seg = sample.gt_sem_seg.sem_seg
            assert sem_seg.shape == (1, 1024, 1024)
            assert set(sem_seg.unique().tolist()) <= {*range(7), 255}
            assert (image[:, sem_seg[0] == 255] == 128).all()  # padding
    assert any((image[:, -1, -1] == 128).all() for image in batch['inputs'])


def test_a_perfect_prediction_gets_full_marks_in_all_three_metrics(shapes_root):
    cfg, _, val = load('panoptic', shapes_root)
    root = Path(shapes_root)
    cfg.val_evaluator[0].update(
        ann_file=str(root / 'annotations/panoptic_val.json'), seg_prefix=str(root / 'panoptic/val')
    )
    cfg.val_evaluator[1].ann_file = str(root / 'annotations/instances_val.json')
    metrics = [METRICS.build(metric) for metric in cfg.val_evaluator]
    for metric in metrics:
        metric.dataset_meta = val.dataset.metainfo
    for batch in val:
        (sample,) = batch['data_samples']
        assert max(batch['inputs'][0].shape[1:]) == 800  # resized, but its annotations are not
        assert sample.gt_sem_seg.sem_seg.shape == (1, 64, 64)
        panoptic = sample.gt_sem_seg.sem_seg.int()
        masks = torch.from_numpy(sample.gt_instances.masks.masks).bool()
        for i, mask in enumerate(masks):
            panoptic[0, mask] = panoptic[0, mask] % 1000 + 1000 * (i + 1)
        prediction = sample.to_dict()
        prediction['pred_panoptic_seg'] = dict(sem_seg=panoptic)
        prediction['pred_sem_seg'] = dict(sem_seg=sample.gt_sem_seg.sem_seg)
        prediction['pred_instances'] = dict(
            bboxes=torch.zeros(len(masks), 4),
            scores=torch.ones(len(masks)),
            labels=sample.gt_instances.labels,
            masks=masks,
        )
        for metric in metrics:
            metric.process({}, [prediction])
    results = {}
    for metric in metrics:
        results.update(metric.evaluate(3))
    assert results['coco_panoptic/PQ'] == 100
    assert results['coco/segm_mAP'] > 0.99
    assert results['mIoU'] == 100


def test_ade20k_is_cropped_and_padded_with_grey(tmp_path):
    cfg = Config.fromfile(BASES / 'ade20k_512.py')
    init_default_scope('mmseg')
    rng = np.random.default_rng(0)
    for folder in ('images', 'annotations'):
        for split in ('training', 'validation'):
            (tmp_path / folder / split).mkdir(parents=True)
            shape = (90, 400, 3) if folder == 'images' else (90, 400)
            suffix = '.jpg' if folder == 'images' else '.png'
            array = rng.integers(0, 151, shape, np.uint8)
            cv2.imwrite(str(tmp_path / folder / split / f'a{suffix}'), array)
    for split, size in (('train', (512, 512)), ('val', (461, 2048))):
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(tmp_path)
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        batch = next(iter(Runner.build_dataloader(loader, seed=0)))
        image, labels = batch['inputs'][0], batch['data_samples'][0].gt_sem_seg.data[0]
        assert image.shape[1:] == size
        if split == 'train':
            assert (image[:, -1] == 128).all() and (labels[-1] == 255).all()
        assert labels.shape == (size if split == 'train' else (90, 400))
