from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from mmdiffseg.engine.hooks import DiffusionVisualizationHook
from mmdiffseg.visualization.pages.segment import VOID, paint, segment_pages

SIZE = (20, 30)
META = dict(classes=('cat', 'dog', 'grass'), palette=[(250, 0, 0), (0, 250, 0), (0, 0, 250)])


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / 'photo.png'
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    masks = torch.zeros(2, *SIZE, dtype=torch.bool)
    masks[0, :10], masks[1, 5:15] = True, True
    labels = torch.tensor([0, 1])
    panoptic = torch.full((1, *SIZE), len(META['classes']))  # void
    panoptic[0, :10] = 1000
    return DetDataSample(
        metainfo=dict(img_path=str(path)),
        gt_instances=InstanceData(labels=labels, masks=BitmapMasks(masks.numpy(), *SIZE)),
        gt_sem_seg=PixelData(sem_seg=torch.full((1, *SIZE), 2)),
        pred_instances=InstanceData(labels=labels, masks=masks, scores=torch.tensor([0.9, 0.5])),
        pred_panoptic_seg=PixelData(sem_seg=panoptic),
        pred_sem_seg=PixelData(sem_seg=torch.ones(1, *SIZE, dtype=torch.long)),
    )


def colours(page):
    return {tuple(colour) for colour in page.reshape(-1, 3).tolist()}


def test_there_is_a_picture_for_each_task(sample):
    image = np.zeros((*SIZE, 3), np.uint8)
    (page,) = segment_pages(image, sample, META)
    assert page.shape[1] == 3 * 256 + 4 * 8  # image, truth, panoptic; instances, semantic
    assert set(META['palette']) <= colours(page)  # in the legend
    for field in ('gt_instances', 'gt_sem_seg', 'pred_panoptic_seg', 'pred_sem_seg'):
        delattr(sample, field)
    (page,) = segment_pages(image, sample, META)
    assert page.shape[1] == 2 * 256 + 3 * 8
    assert META['palette'][2] not in colours(page)


@pytest.mark.parametrize('void', [0, len(META['classes'])])  # the metric's, the fusion head's
def test_void_has_no_colour(sample, void):
    for field in ('gt_instances', 'gt_sem_seg', 'pred_instances', 'pred_sem_seg'):
        delattr(sample, field)
    sample.pred_panoptic_seg.sem_seg[0, 10:] = void
    cat = (175, 0, 0)  # on black, at seven tenths
    image = np.zeros((*SIZE, 3), np.uint8)
    (page,) = segment_pages(image, sample, META)
    assert cat in colours(page)
    sample.pred_panoptic_seg.sem_seg[:] = void
    (page,) = segment_pages(image, sample, META)
    assert cat not in colours(page) and not set(META['palette']) & colours(page)


def test_weak_instances_are_left_out(sample):
    image = np.zeros((*SIZE, 3), np.uint8)
    for field in ('gt_instances', 'pred_panoptic_seg', 'pred_sem_seg'):
        delattr(sample, field)
    (page,) = segment_pages(image, sample, META, min_score=0.6)
    assert META['palette'][0] in colours(page) and META['palette'][1] not in colours(page)
    (page,) = segment_pages(image, sample, META, min_score=1.1)
    assert not set(META['palette']) & colours(page)


def test_later_instances_lie_on_top(sample):
    ids = paint(np.full(SIZE, VOID), sample.pred_instances.numpy())
    assert (ids[:5] == 1000).all() and (ids[5:15] == 2001).all() and (ids[15:] == VOID).all()


def test_the_hook_draws_what_the_model_predicts(sample, tmp_path):
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'show'))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    runner = SimpleNamespace(model=torch.nn.Identity(), test_dataloader=loader)
    hook.before_run(runner)
    hook.after_test_iter(runner, 0, {}, [sample])
    assert [path.name for path in (tmp_path / 'show').iterdir()] == ['photo.png']
