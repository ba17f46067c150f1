import subprocess
import sys

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope

from mmdiffseg.compat.mmcv_ops import _StandInFinder, has_compiled_ops, install_stand_in
from mmdiffseg.registry import MODELS

without_ops = pytest.mark.skipif(has_compiled_ops(), reason='mmcv has its operators here')


@without_ops
def test_a_call_says_which_operator_is_missing():
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(RuntimeError, match='without compiled operators and `nms` has been called'):
        nms(boxes, torch.ones(1), iou_threshold=0.5)


@without_ops
def test_mmcv_reports_its_environment_as_without_operators():
    from mmcv.utils import collect_env

    assert collect_env()['MMCV Compiler'] == 'n/a'


def test_the_stand_in_has_operators_and_nothing_private():
    finder = _StandInFinder()
    assert finder.find_spec('mmcv._extra') is None
    stand_in = finder.create_module(finder.find_spec('mmcv._ext'))
    assert callable(stand_in.ms_deform_attn_forward)
    assert not hasattr(stand_in, '__path__')


def test_it_is_installed_once_and_last():
    install_stand_in()
    assert [isinstance(f, _StandInFinder) for f in sys.meta_path].count(True) == 1


def test_compiled_operators_win(tmp_path):
    (tmp_path / '_ext.py').write_text('compiled = True')
    code = f"""
import mmdiffseg, mmcv
from mmdiffseg.compat.mmcv_ops import has_compiled_ops
mmcv.__path__.insert(0, {str(tmp_path)!r})
import mmcv._ext
assert has_compiled_ops() and mmcv._ext.compiled
"""
    subprocess.run([sys.executable, '-c', code], check=True)


def mask2former(classes):
    """mmdet's Mask2Former with everything made small."""
    attention = dict(embed_dims=32, num_heads=4, batch_first=True)
    ffn = dict(embed_dims=32, feedforward_channels=64)
    encoder = dict(
        num_layers=1,
        layer_cfg=dict(self_attn_cfg=dict(num_levels=3, num_points=4, **attention), ffn_cfg=ffn),
    )
    decoder = dict(
        num_layers=3,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
    )
    return dict(
        type='mmdet.Mask2Former',
        data_preprocessor=dict(type='mmdet.DetDataPreprocessor'),
        backbone=dict(type='mmdet.ResNet', depth=18, norm_eval=False),
        panoptic_head=dict(
            type='mmdet.Mask2FormerHead',
            in_channels=[64, 128, 256, 512],
            strides=[4, 8, 16, 32],
            feat_channels=32,
            out_channels=32,
            num_things_classes=classes,
            num_stuff_classes=0,
            num_queries=5,
            num_transformer_feat_level=3,
            pixel_decoder=dict(
                type='mmdet.MSDeformAttnPixelDecoder',
                num_outs=3,
                norm_cfg=dict(type='GN', num_groups=8),
                act_cfg=dict(type='ReLU'),
                encoder=encoder,
                positional_encoding=dict(num_feats=16, normalize=True),
            ),
            positional_encoding=dict(num_feats=16, normalize=True),
            transformer_decoder=decoder,
            loss_cls=dict(type='mmdet.CrossEntropyLoss', class_weight=[1.0] * classes + [0.1]),
            loss_mask=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True),
            loss_dice=dict(type='mmdet.DiceLoss', use_sigmoid=True),
        ),
        panoptic_fusion_head=dict(
            type='mmdet.MaskFormerFusionHead', num_things_classes=classes, num_stuff_classes=0
        ),
        test_cfg=dict(panoptic_on=False, instance_on=True, max_per_image=5),
    )


def test_mask2former_of_mmdet_predicts():
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.structures import DetDataSample

        model = MODELS.build(ConfigDict(mask2former(classes=3))).eval()
        shape = dict(img_shape=(64, 96), ori_shape=(64, 96), batch_input_shape=(64, 96))
        with torch.no_grad():
            (sample,) = model.predict(torch.randn(1, 3, 64, 96), [DetDataSample(metainfo=shape)])
    assert sample.pred_instances.masks.shape == (5, 64, 96)


def test_a_head_of_mmseg_that_asks_for_operators_is_built():
    head = MODELS.build(
        dict(type='mmseg.CCHead', in_channels=8, channels=8, num_classes=3, norm_cfg=None)
    )
    assert head([torch.randn(1, 8, 6, 7)]).shape == (1, 3, 6, 7)
