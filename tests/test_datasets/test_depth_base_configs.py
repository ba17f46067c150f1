"""The depth dataset bases, run on a few generated files of each layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

CONFIGS = Path(__file__).parents[2] / 'configs'
# name: size of a file, value of a metre, size of a training crop, size of a test image
LAYOUTS = dict(
    kitti_depth=((370, 1226), 256, (352, 704), (352, 1216)),
    nyu_depth=((480, 640), 1000, (416, 544), (480, 640)),
    shapes_depth=((96, 96), 1000, (96, 96), (96, 96)),
)


def paths(name, split):
    """Image and depth map of a split, relative to the root."""
    if name == 'kitti_depth':
        return f'input/drive_{split}/data/0001.png', f'gt_depth/drive_{split}/0001.png'
    folder = 'test' if (name, split) == ('nyu_depth', 'val') else split
    labels = 'depth' if name == 'shapes_depth' else 'annotations'
    return f'images/{folder}/room_0001.jpg', f'{labels}/{folder}/room_0001.png'


@pytest.fixture(params=LAYOUTS)
def base(request, tmp_path):
    name = request.param
    size, metre, *_ = LAYOUTS[name]
    for split in ('train', 'val'):
        image, depth = (tmp_path / path for path in paths(name, split))
        for path in (image, depth):
            path.parent.mkdir(parents=True)
        cv2.imwrite(str(image), np.full((*size, 3), 100, np.uint8))
        cv2.imwrite(str(depth), np.full(size, 5 * metre, np.uint16))
        listed = 'test' if split == 'val' else split
        line = ' '.join(path.split('/', 1)[1] for path in paths(name, split))
        (tmp_path / f'kitti_eigen_{listed}.txt').write_text(f'{line} 721.5\n')
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(tmp_path)
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    init_default_scope('mmseg')
    return cfg, LAYOUTS[name]


def test_loads_crops_and_scales(base):
    cfg, (_, _, crop, whole) = base
    for split, size in (('train', crop), ('val', whole), ('test', whole)):
        batch = next(iter(Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)))
        sample = batch['data_samples'][0]
        assert batch['inputs'][0].shape == (3, *size)
        assert sample.gt_depth_map.data.shape == (1, *size)
        assert {*sample.gt_depth_map.data.unique().tolist()} <= {0, 5}
        if split != 'train':
            assert sample.ori_shape == size


def test_the_image_comes_before_its_mirror_image(base):
    cfg, (_, _, _, whole) = base
    dataset = Runner.build_dataloader(cfg.test_dataloader).dataset
    views = Compose(cfg.tta_pipeline)(dataset.get_data_info(0))
    assert [sample.flip for sample in views['data_samples']] == [False, True]
    assert {sample.ori_shape for sample in views['data_samples']} == {whole}


def test_every_pipeline_refuses_another_unit(base):
    cfg, (size, _, _, _) = base
    for split in ('train', 'val'):
        loader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
        path = loader.dataset.get_data_info(0)['depth_map_path']
        cv2.imwrite(path, np.full(size, 60000, np.uint16))
        with pytest.raises(ValueError, match=f'{path} holds depths around .* above max_depth='):
            next(iter(loader))


def test_sun_rgbd_takes_the_place_of_the_test_set(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'ddp/ddp_swin-l_sun-rgbd-depth.py')
    assert cfg.val_dataloader.dataset.type == 'mmdiffseg.NYUDataset'
    for name, pixels in (
        ('a.jpg', np.zeros((50, 60, 3), np.uint8)),
        ('a.png', np.full((50, 60), 3000 << 3, np.uint16)),
    ):
        cv2.imwrite(str(tmp_path / name), pixels)
    (tmp_path / 'sun_rgbd_test.txt').write_text('a.jpg a.png\n')
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    init_default_scope('mmseg')
    batch = next(iter(Runner.build_dataloader(cfg.test_dataloader)))
    depth = batch['data_samples'][0].gt_depth_map.data
    assert depth.shape == (1, 50, 60) and (depth == 3).all()
    assert cfg.test_evaluator.clip_depth == 8 and cfg.test_evaluator.crop == 'nyu'
