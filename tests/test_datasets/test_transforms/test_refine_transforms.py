import numpy as np
import pytest
from PIL import Image

from mmdiffseg.datasets.transforms import (
    CropObject,
    DegradeMask,
    DrawInstance,
    ImitateSource,
    LoadCoarseMask,
    PackRefineInputs,
)


def scene(**labels):
    maps = np.zeros((100, 140), np.uint8)
    maps[10:30, 20:50] = 1
    maps[60:80, 90:130] = labels.get('other', 1)
    maps[:, :3] = 255
    img = np.repeat(maps[..., None], 3, axis=2)
    return dict(img=img, gt_seg_map=maps, seg_fields=['gt_seg_map'], ori_shape=maps.shape)


def crops(count=40, scene_options={}, **options):
    found = []
    for seed in range(count):
        np.random.seed(seed)
        found.append(CropObject(size=32, **options).transform(scene(**scene_options)))
    return found


def test_crops_hold_one_object_and_go_with_their_picture():
    for found in crops(alone=1.0, context=(1.2, 1.5), sides=(8, 140)):
        mask, img = found['gt_seg_map'], found['img']
        assert mask.shape == (32, 32) and img.shape == (32, 32, 3)
        assert 0.05 < (mask == 1).mean() < 0.7
        # the picture shows the labels, so both have been cut alike
        inside = img[..., 0][mask == 1]
        assert np.abs(inside.astype(int) - 1).mean() < 0.3


def test_alone_or_with_all_of_its_class():
    options = dict(context=(1.0, 1.0), sides=(140, 140))

    def areas(**more):
        return {int((c['gt_seg_map'] == 1).sum()) for c in crops(20, **options, **more)}

    assert len(areas(alone=0.0)) == 1 and len(areas(alone=1.0)) == 2
    assert max(areas(alone=1.0)) < min(areas(alone=0.0))
    assert len(areas(alone=0.0, scene_options=dict(other=2))) == 2


def test_large_objects_are_cropped_around_a_pixel():
    for found in crops(20, context=(1.0, 1.0), sides=(8, 16)):
        assert (found['gt_seg_map'] == 1).any()


def test_nothing_to_crop_gives_way():
    empty = scene()
    empty['gt_seg_map'][:] = 0
    assert CropObject(size=32).transform(empty) is None
    assert CropObject(size=32, min_area=5000).transform(scene()) is None


def test_degraded_masks():
    def run(seed, **options):
        np.random.seed(seed)
        return DegradeMask(**options).transform(scene())

    results = run(0)
    coarse, truth = results['coarse_seg_map'], results['gt_seg_map'] == 1
    assert results['seg_fields'] == ['gt_seg_map', 'coarse_seg_map']
    assert set(np.unique(coarse)) == {0, 1} and not np.array_equal(coarse, truth)
    assert np.array_equal(run(0)['coarse_seg_map'], coarse)
    assert not np.array_equal(run(1)['coarse_seg_map'], coarse)
    assert np.array_equal(run(2, untouched=1.0)['coarse_seg_map'], truth)
    bent = run(0, bent=1.0, iou=(0.7, 0.7))['coarse_seg_map']
    assert (bent & truth).sum() / (bent | truth).sum() == pytest.approx(0.7, abs=0.02)


def test_imitated_masks():
    results = ImitateSource(source='box').transform(scene())
    assert np.array_equal(results['coarse_seg_map'], results['gt_seg_map'] == 1)
    with pytest.raises(ValueError, match="source must be one of .*, got 'boxes'"):
        ImitateSource(source='boxes')


def test_loaded_masks(tmp_path):
    img = np.zeros((6, 8, 3), np.uint8)
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4] = 255
    Image.fromarray(mask).save(tmp_path / 'a.png')
    load = LoadCoarseMask(folder=str(tmp_path), foreground=255)
    found = load.transform(dict(img=img, img_path='x/a.jpg'))
    assert np.array_equal(found['coarse_seg_map'], mask // 255)
    with pytest.raises(FileNotFoundError, match='no mask .*b.png: set folder'):
        load.transform(dict(img=img, img_path='x/b.jpg'))
    with pytest.raises(ValueError, match='a.png is 8x6, its image 8x5'):
        load.transform(dict(img=img[:5], img_path='x/a.jpg'))
    Image.fromarray(img).save(tmp_path / 'c.png')
    with pytest.raises(ValueError, match='c.png is a picture in colours'):
        load.transform(dict(img=img, img_path='x/c.jpg'))


def test_one_instance_is_drawn():
    def instance(number, x1):
        return dict(id=number, segmentation=[[0, 0, x1, 0, x1, 30, 0, 30]])

    results = dict(size=(40, 60), instances=[instance(1, 10), instance(2, 30), instance(3, 50)])
    drawn = set()
    for seed in range(20):
        np.random.seed(seed)
        drawn.update(DrawInstance(min_area=512).transform(dict(results))['instance_ids'])
    assert drawn == {2, 3}
    assert DrawInstance(min_area=5000).transform(results) is None


def test_packed_inputs():
    results = DegradeMask().transform(scene())
    packed = PackRefineInputs().transform(results)
    sample = packed['data_samples']
    assert sample.coarse_sem_seg.data.shape == sample.gt_sem_seg.data.shape == (1, 100, 140)
