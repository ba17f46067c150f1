"""Exported sets of masks (DFormer) against eager ones."""

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmdiffseg.apis.export import export
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.registry import MODELS
from mmdiffseg.runtime import load

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')
pytest.importorskip('mmdet')

WIDTH, CLASSES, THINGS = 32, 5, 3
ATTENTION = dict(embed_dims=WIDTH, num_heads=4, batch_first=True)
FFN = dict(embed_dims=WIDTH, feedforward_channels=40, num_fcs=2, ffn_drop=0.0)
POSITIONS = dict(num_feats=WIDTH // 2, normalize=True)
BACKBONE = dict(type='mmdiffseg.ResNet', depth=18, base_channels=8, pretrained=None)
#: of maps of strides 4, 8, ..., all but the first of which the pixel decoder attends to
HEAD = dict(
    feat_channels=WIDTH,
    out_channels=WIDTH,
    num_queries=8,
    positional_encoding=POSITIONS,
    pixel_decoder=dict(
        type='mmdiffseg.MSDeformAttnPixelDecoder',
        norm_cfg=dict(type='GN', num_groups=8),
        act_cfg=dict(type='ReLU'),
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(self_attn_cfg=dict(ATTENTION, num_points=2, dropout=0.0), ffn_cfg=FFN),
        ),
        positional_encoding=POSITIONS,
    ),
    transformer_decoder=dict(
        return_intermediate=True,
        num_layers=2,
        layer_cfg=dict(self_attn_cfg=ATTENTION, cross_attn_cfg=ATTENTION, ffn_cfg=FFN),
    ),
    steps=2,
)
FUSION = dict(
    panoptic_on=True,
    instance_on=False,
    semantic_on=False,
    object_mask_thr=0.2,
    iou_thr=0.2,
    filter_low_score=True,
    max_per_image=20,
)
PREPROCESSOR = dict(mean=[120.0, 110, 100], std=[60.0, 55, 50], bgr_to_rgb=True)


def build(*, maps=4, scope='mmseg', host=None, fusion=None, resize=(), **options):
    """A tiny DFormer that is sure of what it says, as a Segmenter."""
    head = ConfigDict(HEAD, in_channels=[8 * 2**i for i in range(maps)], **options)
    head.strides = [4 * 2**i for i in range(maps)]
    head.num_transformer_feat_level = head.pixel_decoder.num_outs = maps - 1
    head.pixel_decoder.encoder.layer_cfg.self_attn_cfg.num_levels = maps - 1
    backbone = dict(BACKBONE, num_stages=maps, out_indices=range(maps), strides=(1, 2, 2, 2)[:maps])
    backbone['dilations'] = (1, 1, 1, 1)[:maps]
    if scope == 'mmseg':
        config = dict(
            type=host or 'mmseg.EncoderDecoder',
            data_preprocessor=dict(
                PREPROCESSOR, type='mmseg.SegDataPreProcessor', test_cfg=dict(size_divisor=32)
            ),
            decode_head=dict(head, type='mmdiffseg.DFormerSegHead', num_classes=CLASSES),
            test_cfg=dict(mode='whole'),
        )
    else:
        classes = dict(num_things_classes=THINGS, num_stuff_classes=CLASSES - THINGS)
        config = dict(
            type=host or 'mmdet.Mask2Former',
            data_preprocessor=dict(
                PREPROCESSOR, type='mmdet.DetDataPreprocessor', pad_size_divisor=32
            ),
            panoptic_head=dict(head, type='mmdiffseg.DFormerHead', **classes),
            panoptic_fusion_head=dict(type='mmdiffseg.UniversalFusionHead', **classes),
            test_cfg=dict(FUSION, **fusion or {}),
        )
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(ConfigDict(config, backbone=backbone)).eval()
        part = model.decode_head if scope == 'mmseg' else model.panoptic_head
        for parameter in part.parameters():  # zeros at the start say nothing
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        pack = dict(type='PackSegInputs' if scope == 'mmseg' else 'PackDetInputs')
        if scope == 'mmdet':
            pack['meta_keys'] = ('img_path', 'ori_shape', 'img_shape', 'scale_factor')
        pipeline = [dict(type='LoadImageFromFile'), *resize, pack]
        segmenter = Segmenter(
            model=model,
            config=Config(
                dict(default_scope=scope, test_dataloader=dict(dataset=dict(pipeline=pipeline)))
            ),
            meta=dict(
                classes=[f'class {i}' for i in range(CLASSES)],
                palette=[[i, 40 * i, 9] for i in range(CLASSES)],
            ),
            device='cpu',
        )
    differ(segmenter, part)
    return segmenter


def differ(segmenter, head):
    """Let an untrained head say different things of the slots and pixels of a picture."""
    generator = torch.Generator().manual_seed(0)

    def seen(layer):
        pairs = []
        hook = layer.register_forward_hook(lambda _, given, said: pairs.append((*given, said)))
        segmenter(picture(64, 64), steps=1)
        hook.remove()
        return pairs[-1]

    features = head.pixel_decoder.mask_feature
    features.bias.data -= seen(features)[1].mean(dim=(0, 2, 3))
    for layer, size in ((head.mask_embed[-1], 0.3), (head.cls_embed, 2.0)):
        (queries,), _ = seen(layer)  # (Q, C)
        centre = queries.mean(dim=0)
        factor = size / (queries - centre).norm(dim=1).mean()
        layer.weight.data = factor * torch.randn(layer.weight.shape, generator=generator)
        layer.bias.data = -layer.weight.data @ centre


def picture(height, width):
    coarse = np.random.default_rng([height, width]).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:height, :width]


def check(segmenter, runtime, size, **settings):
    """The two say the same of a picture."""
    expected, found = (model(picture(*size), **settings) for model in (segmenter, runtime))
    assert found.labels.shape == size and found.labels.dtype == expected.labels.dtype
    assert (found.labels == expected.labels).mean() > 0.999  # rounding may decide a pixel
    for name in ('probability', 'uncertainty'):
        wanted = getattr(expected, name)
        if wanted is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_allclose(getattr(found, name), wanted, atol=1e-4)
    assert (expected.segments is None) == (found.segments is None)
    for one, other in zip(found.segments or (), expected.segments or (), strict=True):
        assert one.label == other.label and (one.mask == other.mask).mean() > 0.999
        assert one.score == other.score or abs(one.score - other.score) < 1e-4
    return expected


def test_a_runtime_merges_the_masks_that_the_model_merges(tmp_path):
    segmenter = build(scope='mmdet', maps=2)
    # a fixed size is exported sooner, and both pictures are padded to it anyway
    folder = export(segmenter, tmp_path / 'model', steps=[1], size=(64, 64))
    runtime = load(folder, threads=1)
    for size in ((33, 51), (64, 40)):
        assert check(segmenter, runtime, size).segments
    check(segmenter, runtime, (33, 51), steps=1, seed=3)
    segmenter.model.panoptic_head.noise_size = runtime.loop['grid']['noise_size'] = 'padded'
    check(segmenter, runtime, (33, 51))


@pytest.mark.recipe
def test_classes_of_pixels(tmp_path):
    segmenter = build()
    runtime = load(export(segmenter, tmp_path / 'model', steps=[1]), threads=1)
    for size in ((33, 51), (130, 77)):
        check(segmenter, runtime, size)
    check(segmenter, runtime, (33, 51), steps=1, generations=2, seed=3)


@pytest.mark.recipe
@pytest.mark.parametrize('uncertainty', ['entropy', 'change'])
def test_uncertainty_windows_and_averaged_steps(uncertainty, tmp_path):
    segmenter = build(
        host='mmdiffseg.DiffusionEncoderDecoder', ensemble_steps=True, generations=2, max_batch=1
    )
    segmenter.model.test_cfg.update(
        mode='slide', crop_size=(64, 64), stride=(32, 32), uncertainty=uncertainty
    )
    runtime = load(export(segmenter, tmp_path / 'model', steps=[1]), threads=1)
    for size in ((33, 51), (90, 101)):
        assert check(segmenter, runtime, size).uncertainty.max() > 0


@pytest.mark.recipe
@pytest.mark.parametrize('format', ['onnx', 'openvino'])
def test_objects_of_all_tasks(format, tmp_path):
    pytest.importorskip('openvino' if format == 'openvino' else 'onnxruntime')
    resize = [dict(type='Resize', scale=(120, 80), keep_ratio=True, backend='pillow')]
    host = 'mmdiffseg.DiffusionMask2Former'
    segmenter = build(scope='mmdet', host=host, resize=resize)
    runtime = load(export(segmenter, tmp_path / 'model', format=format), threads=1)
    cfg, told = segmenter.model.panoptic_fusion_head.test_cfg, runtime.loop['readout']
    found = []
    for tasks in (('panoptic_on',), ('instance_on',), ('panoptic_on', 'semantic_on')):
        for name in ('panoptic_on', 'instance_on', 'semantic_on'):
            cfg[name] = told[name] = name in tasks
        for size in ((65, 91), (96, 64)):
            found += check(segmenter, runtime, size).segments
    assert found


@pytest.mark.recipe
def test_a_fixed_size_and_other_attention(tmp_path):
    segmenter = build(scope='mmdet')
    options = dict(size=(96, 128), deform_attn='gather', steps=[3])
    runtime = load(export(segmenter, tmp_path / 'model', **options), threads=1)
    check(segmenter, runtime, (95, 127), steps=3)
    with pytest.raises(ValueError, match='has 129 x 64 pixels, and the model was exported for at'):
        runtime(picture(64, 129))


def test_masks_that_come_together_by_other_rules_are_refused(tmp_path):
    segmenter = build(scope='mmdet', maps=2)

    class OwnRules(type(segmenter.model.panoptic_fusion_head)):
        pass

    segmenter.model.panoptic_fusion_head.__class__ = OwnRules
    with pytest.raises(TypeError, match='OwnRules cannot be exported: the fusion head of what can'):
        export(segmenter, tmp_path / 'model')
