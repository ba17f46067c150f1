"""The code in docs/bev.md."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmdiffseg.registry import DATASETS

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/bev.md').read_text(), re.S)
SCOPES = dict(input_scope=[(0, 6, 1)] * 2, output_scope=[(1, 5, 0.5)] * 2)


def block(word):
    (code,) = [code for code in BLOCKS if word in code]
    return code


class StandIn(torch.nn.Module):
    """What a detector of mmdet3d must have for the recipe."""

    def extract_feat(self, inputs, metas):
        return [inputs['points']]


@pytest.fixture
def mmdet3d(monkeypatch):
    parts = 'projects', 'projects.BEVFusion', 'projects.BEVFusion.bevfusion'
    for name in ('mmdet3d', *parts):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    registry = SimpleNamespace(register_module=lambda: lambda cls: cls, build=MODELS.build)
    modules = {
        'mmdet3d.registry': SimpleNamespace(MODELS=registry),
        f'{parts[-1]}.bevfusion': SimpleNamespace(BEVFusion=StandIn),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_the_head_in_bevfusion(mmdet3d):
    names = {}
    exec(block('class BEVFusionMap'), names)
    init_default_scope('mmseg')
    head = dict(type='mmdiffseg.DDPMapHead', in_channels=16, channels=16, num_classes=2, **SCOPES)
    model = names['BEVFusionMap'](map_head=head)
    masks = PixelData(data=torch.ones(2, 8, 8))
    metas = [dict(sample_idx=i, img_path=['front.jpg', 'back.jpg']) for i in range(2)]
    samples = [SegDataSample(metainfo=meta, gt_map=masks) for meta in metas]
    points = dict(points=torch.randn(2, 16, 6, 6))
    model.loss(points, samples)['loss_focal'].backward()
    with torch.no_grad():
        first, second = model.eval().predict(points, samples)
    assert first.map_prob.data.shape == second.map_prob.data.shape == (2, 8, 8)


def test_features_are_written_as_they_are_read(tmp_path):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = SimpleNamespace(decoder=dict(neck=torch.nn.Identity()))

        def forward(self, return_loss, rescale, img, **batch):
            return self.module.decoder['neck'](img)

    def container(value):
        return SimpleNamespace(data=[value])

    features, masks = torch.randn(2, 4, 6, 5), torch.randint(2, (2, 2, 8, 9)).bool()
    metas = [dict(token='a'), dict(token='b')]
    batch = dict(img=features, metas=container(metas), gt_masks_bev=container(masks))
    names = {}
    exec(block('def export'), names)
    names['export'](Model(), [batch], tmp_path / 'features', tmp_path / 'maps')

    init_default_scope('mmseg')
    dataset = DATASETS.build(
        dict(
            type='mmdiffseg.BEVMapDataset',
            metainfo=dict(classes=('road', 'walkway')),
            data_root=str(tmp_path),
            data_prefix=dict(img_path='features', seg_map_path='maps'),
            pipeline=[
                dict(type='mmdiffseg.LoadBEVFeature'),
                dict(type='mmdiffseg.LoadMapMasks', num_classes=2),
                dict(type='mmdiffseg.PackMapInputs'),
            ],
        )
    )
    for index, packed in enumerate(dataset):
        assert torch.equal(packed['inputs'], features[index].half().float())
        assert torch.equal(packed['data_samples'].gt_map.data, masks[index].byte())


def test_the_guide_to_own_features_is_a_working_config(tmp_path, meta_allocation):
    base = f"'{ROOT}/configs/ddp/ddp_bevfusion"
    path = tmp_path / 'own.py'
    path.write_text(block('BEVMapDataset').replace("'./ddp_bevfusion", base))
    config = Config.fromfile(path)
    for folder in ('train', 'val'):
        for kind in ('features', 'maps'):
            (tmp_path / kind / folder).mkdir(parents=True)
        np.save(tmp_path / 'features' / folder / 'a.npy', np.zeros((64, 120, 120), np.float16))
        masks = np.zeros((2, 200, 200), np.uint8)
        np.savez_compressed(tmp_path / 'maps' / folder / 'a.npz', masks=masks)
    init_default_scope('mmseg')
    with meta_allocation():
        model = MODELS.build(config.model)
    grid = model.decode_head.denoiser.grid_transform
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(tmp_path)
        packed = DATASETS.build(loader.dataset)[0]
        assert len(packed['inputs']) == model.decode_head.in_channels
        assert packed['inputs'].shape[1:] == grid.input_cells
        assert packed['data_samples'].gt_map.shape == grid.output_cells
