import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdiffseg.datasets import (
    DepthFolderDataset,
    KITTIDepthDataset,
    NYUDataset,
    ShapesDepthDataset,
    SUNRGBDDepthDataset,
)
from mmdiffseg.registry import DATASETS

REPO = Path(__file__).parents[2]
SHAPES = dict(img_path='images/train', depth_map_path='depth/train')
KITTI = dict(img_path='input', depth_map_path='gt_depth')
LIST = """\
/day/drive_1/image_02/data/0000000005.png drive_1/proj_depth/0000000005.png 721.5
day/drive_2/image_02/data/0000000005.png drive_2/proj_depth/0000000005.png 721.5

day/drive_2/image_02/data/0000000006.png None 721.5
"""


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


@pytest.fixture
def kitti(tmp_path):
    (tmp_path / 'list.txt').write_text(LIST)
    for line in LIST.replace('\n\n', '\n').splitlines():
        image, depth, _ = line.lstrip('/').split()
        write(tmp_path / 'input' / image, np.zeros((4, 6, 3), np.uint8))
        if depth != 'None':
            write(tmp_path / 'gt_depth' / depth, np.full((4, 6), 512, np.uint16))
    return dict(data_root=str(tmp_path), ann_file='list.txt', data_prefix=KITTI)


def test_shapes_are_read_in_metres(shapes_root):
    init_default_scope('mmseg')
    dataset = ShapesDepthDataset(
        data_root=str(shapes_root),
        data_prefix=SHAPES,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
            dict(type='PackSegInputs'),
        ],
    )
    assert len(dataset) == 6
    millimetres = cv2.imread(str(shapes_root / 'depth/train/000003.png'), cv2.IMREAD_UNCHANGED)
    depth = dataset[3]['data_samples'].gt_depth_map.data
    assert depth.shape == (1, 64, 64)
    np.testing.assert_allclose(depth[0].numpy(), millimetres / 1000, rtol=1e-6)


def test_any_file_name_will_do(tmp_path):
    write(tmp_path / 'images/kitchen.jpg', np.zeros((4, 6, 3), np.uint8))
    write(tmp_path / 'depth/kitchen.png', np.ones((4, 6), np.uint16))
    prefix = dict(img_path='images', depth_map_path='depth')
    dataset = DepthFolderDataset(data_root=str(tmp_path), data_prefix=prefix)
    assert dataset.get_data_info(0)['depth_map_path'] == str(tmp_path / 'depth/kitchen.png')


def test_nyu_keeps_its_rooms(tmp_path):
    write(tmp_path / 'images/bedroom_0010_00002.jpg', np.zeros((4, 6, 3), np.uint8))
    write(tmp_path / 'annotations/bedroom_0010_00002.png', np.ones((4, 6), np.uint16))
    dataset = NYUDataset(data_root=str(tmp_path))
    assert dataset.metainfo['classes'][dataset.get_data_info(0)['category_id']] == 'bedroom'


@pytest.mark.parametrize('dataset', [NYUDataset, DepthFolderDataset, ShapesDepthDataset])
def test_missing_folders_and_depth_maps(dataset, tmp_path):
    options = dict(data_root=str(tmp_path), data_prefix=SHAPES)
    with pytest.raises(FileNotFoundError, match=f'{dataset.__name__}: no folder .*images/train: '):
        dataset(**options)
    write(tmp_path / 'images/train/a_1.jpg', np.zeros((4, 6, 3), np.uint8))
    (tmp_path / 'depth/train').mkdir(parents=True)
    sentence = r'1 of 1 labels .* missing, .*depth/train/a_1.png.*add it, .* set depth_map_suffix'
    with pytest.raises(FileNotFoundError, match=sentence):
        dataset(**options)


def test_a_list_names_images_with_depth(kitti):
    dataset = KITTIDepthDataset(**kitti)
    assert len(dataset) == 2
    first, second = map(dataset.get_data_info, range(2))
    root = kitti['data_root']
    assert first['img_path'] == f'{root}/input/day/drive_1/image_02/data/0000000005.png'
    assert first['depth_map_path'] == f'{root}/gt_depth/drive_1/proj_depth/0000000005.png'
    # the file names are the same
    assert first['sample_id'] == 'day_drive_1_image_02_data_0000000005' != second['sample_id']


def test_list_without_its_files(kitti, tmp_path):
    (tmp_path / 'gt_depth/drive_2/proj_depth/0000000005.png').unlink()
    sentence = (
        '1 of 4 files in .*list.txt are missing, the first is .*drive_2/proj_depth/0000000005'
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        KITTIDepthDataset(**kitti)


@pytest.mark.parametrize('dataset', [KITTIDepthDataset, SUNRGBDDepthDataset])
def test_missing_and_empty_lists(dataset, kitti, tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{dataset.__name__}: no list .*other.txt: '):
        dataset(**(kitti | dict(ann_file='other.txt')))
    (tmp_path / 'list.txt').write_text('a.png None 1.0\n')
    with pytest.raises(ValueError, match='names no image with a depth map'):
        dataset(**kitti)
    (tmp_path / 'list.txt').write_text('a.png None\nb.png\n')
    with pytest.raises(ValueError, match=r'line 2 of .*list.txt names b.png but no depth map: add'):
        dataset(**kitti)


def test_the_guide_to_own_depth_is_a_working_config(shapes_root, tmp_path):
    blocks = re.findall(r'```python\n(.*?)```', (REPO / 'docs/datasets.md').read_text(), re.S)
    (example,) = [block for block in blocks if 'DepthFolderDataset' in block]
    path = tmp_path / 'own.py'
    path.write_text(example.replace("'./ddp_swin", f"'{REPO}/configs/ddp/ddp_swin"))
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert (shapes_root / loader.dataset.data_prefix.depth_map_path).is_dir()
        loader.dataset.data_root = str(shapes_root)
        sample = DATASETS.build(loader.dataset)[0]
        assert 0 <= sample['data_samples'].gt_depth_map.data.min() <= 10
    assert cfg.test_evaluator.max_depth == cfg.model.decode_head.max_depth == 30
    assert cfg.test_evaluator.crop is None
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    assert len(DATASETS.build(cfg.test_dataloader.dataset)[0]['data_samples']) == 2
    assert [t.max_depth for t in cfg.tta_pipeline if 'max_depth' in t] == [30]
