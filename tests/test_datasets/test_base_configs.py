"""The dataset bases, run on a few generated files of each layout."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmdiffseg.datasets
from mmdiffseg.registry import DATASETS

BASES = Path(mmdiffseg.datasets.__file__).parents[2] / 'configs/_base_/datasets'
# name: (train and val folders of images, their suffix, of labels, theirs, classes, size of a file)
LAYOUTS = dict(
    shapes=('images/{}', '.jpg', 'labels/{}', '.png', 7, (96, 96)),
    camvid=('images/{}', '.jpg', 'labels/{}', '.png', 11, (360, 480)),
    ade20k=('images/{}', '.jpg', 'annotations/{}', '.png', 150, (120, 150)),
    cityscapes=(
        'leftImg8bit/{}/ulm',
        '_leftImg8bit.png',
        'gtFine/{}/ulm',
        '_gtFine_labelTrainIds.png',
        19,
        (128, 256),
    ),
)
ADE20K_SPLITS = dict(train='training', val='validation')


@pytest.fixture(params=LAYOUTS)
def base(request, tmp_path):
    """A dataset base whose `data_root` holds two noise images a split, labelled to the last id."""
    name = request.param
    images, image_suffix, labels, label_suffix, num_classes, size = LAYOUTS[name]
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        folder = ADE20K_SPLITS[split] if name == 'ade20k' else split
        for pattern in (images, labels):
            (tmp_path / pattern.format(folder)).mkdir(parents=True)
        for stem in 'ab':
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            cv2.imwrite(str(tmp_path / images.format(folder) / (stem + image_suffix)), image)
            ids = rng.integers(0, num_classes + (name == 'ade20k'), size, np.uint8)
            cv2.imwrite(str(tmp_path / labels.format(folder) / (stem + label_suffix)), ids)
    cfg = Config.fromfile(BASES / f'{name}.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(tmp_path)
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    init_default_scope('mmseg')
    return cfg, num_classes, size


def test_loads_and_crops(base):
    cfg, num_classes, size = base
    for split in ('train', 'val', 'test'):
        loader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
        assert len(loader.dataset) == 2
        batch = next(iter(loader))
        shape, labels = batch['inputs'][0].shape, batch['data_samples'][0].gt_sem_seg.data
        values = set(labels.unique().tolist())
        assert values <= {*range(num_classes), 255}
        if split == 'train':
            # small images stay small: the data preprocessor pads them
            assert shape[1] <= cfg.crop_size[0] and shape[2] <= cfg.crop_size[1]
            assert labels.shape[1:] == shape[1:]
        else:
            assert labels.shape == (1, *size)
            assert num_classes - 1 in values
        assert len(loader.dataset.metainfo['classes']) == num_classes


def test_every_pipeline_refuses_a_wrong_label(base):
    cfg, num_classes, size = base
    reduced = cfg.dataset_type.endswith('ADE20KDataset')
    for split in ('train', 'val'):
        loader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
        wrong = np.full(size, num_classes + reduced, np.uint8)
        for index in range(2):
            cv2.imwrite(loader.dataset.get_data_info(index)['seg_map_path'], wrong)
        with pytest.raises(ValueError, match=rf'outside \[0, {num_classes}\) .*: {num_classes};'):
            next(iter(loader))


def test_every_ratio_is_seen_flipped_and_not(base):
    cfg, _, _ = base
    loader = Runner.build_dataloader(cfg.test_dataloader)
    views = Compose(cfg.tta_pipeline)(loader.dataset.get_data_info(0))
    assert len(views['inputs']) == 2 * len(cfg.img_ratios)
    flips = [sample.flip for sample in views['data_samples']]
    assert flips.count(True) == flips.count(False) == len(cfg.img_ratios)
    widths = [view.shape[-1] for view in views['inputs']]
    reference = widths[2 * cfg.img_ratios.index(1.0)]
    assert widths[::2] == [pytest.approx(r * reference, abs=1) for r in cfg.img_ratios]


def test_the_guide_to_own_data_is_a_working_config(shapes_root, tmp_path):
    repo = BASES.parents[2]
    blocks = re.findall(r'```python\n(.*?)```', (repo / 'docs/datasets.md').read_text(), re.S)
    (example,) = [block for block in blocks if 'SegFolderDataset' in block]
    assert "'./ddp_swin-t_camvid.py'" in example
    path = tmp_path / 'own.py'
    path.write_text(example.replace("'./ddp_swin", f"'{repo}/configs/ddp/ddp_swin"))
    cfg = Config.fromfile(path)
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 2

    init_default_scope('mmseg')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(shapes_root)
        dataset = DATASETS.build(loader.dataset)
        assert dataset.metainfo['classes'] == ('background', 'road')
        with pytest.raises(ValueError, match=r'outside \[0, 2\)'):
            dataset[0]
