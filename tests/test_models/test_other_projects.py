"""Our heads in somebody else's project: the rows of the table in the README, each trained once."""

import re
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
README = (Path(__file__).parents[2] / 'README.md').read_text()
ROWS = dict(re.findall(r'^\| mmseg `([\w-]+)` \| `(decode_head=.*)` \|$', README, re.MULTILINE))


def build(base, head, folder):
    (folder / 'base.py').write_text((BASES / f'{base}.py').read_text())
    (folder / 'mine.py').write_text(
        "_base_ = './base.py'\n"
        "default_scope = 'mmseg'\n"
        "custom_imports = dict(imports=['mmdiffseg'])\n"
        f'model = dict(pretrained=None, {head})\n'
    )
    cfg = Config.fromfile(folder / 'mine.py')
    if 'norm_cfg' in cfg.model.backbone:  # SyncBN needs a process group
        cfg.model.backbone.norm_cfg = dict(type='BN')
    for part in ('auxiliary_head', 'data_preprocessor'):
        cfg.model.pop(part, None)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


def test_the_table_has_its_rows():
    assert set(ROWS) == {'fcn_r50-d8', 'fpn_r50', 'upernet_r50', 'segformer_mit-b0'}
    for head in ('DFormerSegHead', 'DFormerHead'):  # run in test_dformer/test_in_hosts.py
        assert f"dict(type='mmdiffseg.{head}')" in README


@pytest.mark.parametrize('base', ROWS)
def test_two_entries_turn_a_model_of_mmseg_into_ddp(base, tmp_path):
    model = build(base, ROWS[base], tmp_path)
    images = torch.randn(2, 3, 64, 64)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 64, 64).long()))] * 2
    model.loss(images, samples)['decode.loss_ce'].backward()
    model.eval()
    with torch.no_grad():
        (first, _) = model.predict(images)
    assert first.pred_sem_seg.data.shape == (1, 64, 64)


def test_several_maps_without_a_choice_are_refused(tmp_path):
    model = build('fcn_r50-d8', ROWS['fcn_r50-d8'].replace('in_index=3, ', ''), tmp_path)
    with pytest.raises(ValueError, match='4 feature maps .* say which to use by in_index; -1'):
        model.predict(torch.randn(1, 3, 64, 64))


def test_leaving_out_delete_is_explained(tmp_path):
    with pytest.raises(TypeError, match='DDPHead takes no num_convs.*_delete_=True'):
        build('fcn_r50-d8', ROWS['fcn_r50-d8'].replace('_delete_=True, ', ''), tmp_path)
