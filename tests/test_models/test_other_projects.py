"""DDPHead in somebody else's project: mmseg's own configs with two entries changed."""

from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

BASES = Path(mmseg.__file__).parent / '.mim/configs/_base_/models'
HEADS = dict(
    fpn_r50="""decode_head=dict(
        type='mmdiffseg.DDPHead', in_channels=256, in_index=0, num_classes=19)""",
    upernet_r50="""decode_head=dict(
        type='mmdiffseg.DDPHead', in_channels=[256, 512, 1024, 2048], in_index=[0, 1, 2, 3],
        input_transform='resize_concat', num_classes=19)""",
)


@pytest.mark.parametrize('base', HEADS)
def test_two_entries_turn_a_model_of_mmseg_into_ddp(base, tmp_path):
    (tmp_path / f'{base}.py').write_text((BASES / f'{base}.py').read_text())
    head = HEADS[base].replace('dict(', 'dict(_delete_=True, ', 1)
    (tmp_path / 'mine.py').write_text(
        f"_base_ = './{base}.py'\n"
        "default_scope = 'mmseg'\n"
        "custom_imports = dict(imports=['mmdiffseg'])\n"
        f'model = dict(pretrained=None, {head})\n'
        "norm_cfg = dict(type='BN')\n"
    )
    cfg = Config.fromfile(tmp_path / 'mine.py')
    cfg.model.backbone.norm_cfg.type = 'BN'  # SyncBN needs a process group
    cfg.model.pop('auxiliary_head', None)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)

    images = torch.randn(2, 3, 64, 64)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 64, 64).long()))] * 2
    model.loss(images, samples)['decode.loss_ce'].backward()
    model.eval()
    with torch.no_grad():
        (first, _) = model.predict(images)
    assert first.pred_sem_seg.data.shape == (1, 64, 64)
