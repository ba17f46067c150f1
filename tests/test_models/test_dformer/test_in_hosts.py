"""DFormer inside mmdet's Mask2Former and mmseg's EncoderDecoder, built from the base configs."""

from pathlib import Path

import mmdet
import mmseg
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws

MMDET = Path(mmdet.__file__).parent / '.mim/configs/mask2former'
MMSEG = Path(mmseg.__file__).parent / '.mim/configs/mask2former'
BASES = Path(__file__).parents[3] / 'configs/_base_/models'
WIDTH = 32


def small(name, scope, **head):
    """A base config, made narrow and shallow."""
    config = Config.fromfile(BASES / f'{name}.py')
    init_default_scope(scope)
    model = config.model
    model.backbone.update(depth=18, base_channels=8, pretrained=None)
    part = model.decode_head if 'decode_head' in model else model.panoptic_head
    part.update(in_channels=[8, 16, 32, 64], feat_channels=WIDTH, out_channels=WIDTH)
    part.update(num_queries=10, positional_encoding=dict(num_feats=WIDTH // 2, normalize=True))
    part.update(head)
    pixel_decoder = part.pixel_decoder
    pixel_decoder.norm_cfg.num_groups = 8
    pixel_decoder.positional_encoding = part.positional_encoding
    pixel_decoder.encoder.num_layers = 1
    part.transformer_decoder.num_layers = 3
    layers = [pixel_decoder.encoder.layer_cfg, part.transformer_decoder.layer_cfg]
    for layer in layers:
        for cfg in layer.values():
            cfg.embed_dims = WIDTH
    for cfg in (part.get('train_cfg'), model.train_cfg):
        if cfg:
            cfg.num_points = 50
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    return model


@pytest.fixture
def detector():
    classes = dict(num_things_classes=3, num_stuff_classes=2)
    config = Config.fromfile(BASES / 'dformer.py')
    model = small('dformer', 'mmdet', **classes)
    fusion = dict(config.model.panoptic_fusion_head, **classes, test_cfg=config.model.test_cfg)
    model.panoptic_fusion_head = MODELS.build(fusion)
    model.test_cfg.max_per_image = model.panoptic_fusion_head.test_cfg.max_per_image = 10
    return model


def det_batch(*shapes):
    inputs, samples = [], []
    for i, (h, w) in enumerate(shapes):
        generator = torch.Generator().manual_seed(i)
        inputs.append(torch.randint(256, (3, h, w), generator=generator, dtype=torch.uint8))
        masks = np.zeros((2, h, w), np.uint8)
        masks[0, : h // 2], masks[1, :, : w // 3] = 1, 1
        sem_seg = torch.full((1, h, w), 255)
        sem_seg[:, h // 2 :] = 4
        sample = DetDataSample(
            metainfo=dict(img_path=f'{i}.jpg', img_shape=(h, w), ori_shape=(h // 2, w // 2)),
            gt_instances=InstanceData(
                labels=torch.tensor([0, 2]),
                masks=BitmapMasks(masks, h, w),
                bboxes=torch.zeros(2, 4),
            ),
            gt_sem_seg=PixelData(sem_seg=sem_seg),
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def test_detector_trains_on_images_of_several_sizes(detector):
    batch = detector.data_preprocessor(det_batch((60, 90), (64, 70)), training=True)
    losses = detector(**batch, mode='loss')
    total, _ = detector.parse_losses(losses)
    total.backward()
    trained = [p for p in detector.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    frozen = [name for name, p in detector.named_parameters() if not p.requires_grad]
    assert all('bn' in name or 'downsample.1' in name for name in frozen) and frozen


@torch.no_grad()
def test_one_model_answers_all_three_tasks(detector):
    detector.eval()
    batch = detector.data_preprocessor(det_batch((60, 90), (64, 70)), training=False)
    samples = detector(**batch, mode='predict')
    for sample, shape in zip(samples, ((30, 45), (32, 35)), strict=True):
        assert sample.pred_panoptic_seg.sem_seg.shape == (1, *shape)
        assert sample.pred_instances.masks.shape[1:] == shape
        assert sample.pred_sem_seg.sem_seg.shape == (1, *shape)
        assert sample.pred_sem_seg.sem_seg.max() < 5
    assert len(detector(**batch, mode='tensor')) == 2  # as for counting operations


@torch.no_grad()
def test_a_batch_of_unequal_images_equals_each_alone(detector):
    """Where both are padded to the same size anyway, and the noise has that size.

    Padding is seen, as by the authors' network: nothing is masked, in the pixel decoder or behind.
    An image that its company pads further is another input, and has other results.
    """
    detector.eval()
    detector.panoptic_head.noise_size = 'padded'
    detector.panoptic_head.steps = 2
    shapes = ((60, 90), (64, 70))

    def logits(data):
        batch = detector.data_preprocessor(data, training=False)
        features = detector.extract_feat(batch['inputs'])
        return detector.panoptic_head.predict(features, batch['data_samples'])

    both = det_batch(*shapes)
    cls_scores, masks = logits(both)
    for i in range(2):
        alone = {name: values[i : i + 1] for name, values in det_batch(*shapes).items()}
        own_scores, own_masks = logits(alone)
        torch.testing.assert_close(own_scores[0], cls_scores[i], rtol=0, atol=1e-4)
        torch.testing.assert_close(own_masks[0], masks[i], rtol=0, atol=1e-4)


def test_the_detector_passes_steps_and_draws_on(detector):
    """And equals mmdet's without them."""
    detector.eval()
    host = MODELS.get('mmdiffseg.DiffusionMask2Former')
    data = det_batch((60, 90), (64, 70))
    batch = detector.data_preprocessor(data, training=False)
    images, samples = batch['inputs'], batch['data_samples']

    def predict(**options):
        with torch.no_grad():
            done = detector.predict(images, [sample.clone() for sample in samples], **options)
        return torch.cat([sample.pred_instances.scores for sample in done])

    plain = predict()
    detector.__class__ = host  # the same parameters and configs
    torch.testing.assert_close(predict(), plain)
    start = [torch.randn(10, 60, 90), torch.randn(10, 64, 70)]
    one = predict(steps=1, draws=Draws(dict(start=start)))
    assert not torch.allclose(one, plain)
    two = predict(steps=2, draws=Draws(dict(start=start, step0=start)))
    assert not torch.allclose(two, one)

    batch = detector.data_preprocessor(det_batch((60, 90), (64, 70)), training=True)

    def loss(seed):
        torch.manual_seed(0)  # the points of the set loss
        draws = Draws(generator=torch.Generator().manual_seed(seed))
        losses = detector.loss(batch['inputs'], batch['data_samples'], draws=draws)
        return sum(losses.values()).item()

    assert loss(1) == loss(1) != loss(2)


def test_mmdets_config_needs_another_type_only():
    config = Config.fromfile(MMDET / 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    init_default_scope('mmdet')
    config.model.panoptic_head.type = 'mmdiffseg.DFormerHead'
    config.model.backbone.init_cfg = None
    (padding,) = config.model.data_preprocessor.batch_augments
    padding.size = (64, 64)  # 1024 x 1024 take a minute
    model = MODELS.build(config.model)
    batch = model.data_preprocessor(det_batch((64, 64)), training=True)
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    assert total.isfinite()
    model.eval()
    with torch.no_grad():
        (sample,) = model(**batch, mode='predict')
    assert sample.pred_panoptic_seg.sem_seg.shape == (1, 32, 32)


def test_mmsegs_config_needs_another_type_only():
    config = Config.fromfile(MMSEG / 'mask2former_r50_8xb2-160k_ade20k-512x512.py')
    init_default_scope('mmseg')
    config.model.decode_head.type = 'mmdiffseg.DFormerSegHead'
    config.model.backbone.init_cfg = None
    config.model.backbone.norm_cfg.type = 'BN'  # SyncBN needs a process group
    model = MODELS.build(config.model).eval()
    meta = dict(img_path='a.png', ori_shape=(64, 64), img_shape=(64, 64), pad_shape=(64, 64))
    labels = PixelData(data=torch.randint(150, (1, 64, 64)))
    sample = SegDataSample(metainfo=meta, gt_sem_seg=labels)
    losses = model.loss(torch.randn(1, 3, 64, 64), [sample])
    assert all(value.isfinite() for value in losses.values())
    with torch.no_grad():
        (sample,) = model.predict(torch.randn(1, 3, 64, 64), [sample])
    assert sample.seg_logits.data.shape == (150, 64, 64)


def test_segmentor_trains_and_predicts():
    model = small('dformer_semantic', 'mmseg', num_classes=4)
    model.data_preprocessor.size = (64, 96)
    samples = [
        SegDataSample(
            metainfo=dict(img_path='a.jpg', img_shape=(60, 90), ori_shape=(30, 45)),
            gt_sem_seg=PixelData(data=torch.randint(4, (1, 60, 90))),
        )
        for _ in range(2)
    ]
    images = [torch.randint(256, (3, 60, 90), dtype=torch.uint8)] * 2
    data = dict(inputs=images, data_samples=samples)
    batch = model.data_preprocessor(data, training=True)
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor(data, training=False)
        predictions = model(**batch, mode='predict')
    assert predictions[0].pred_sem_seg.data.shape == (1, 30, 45)
    assert predictions[0].seg_logits.data.shape == (4, 30, 45)


@torch.no_grad()
def test_segmentor_shows_its_steps():
    """Uncertainty, step counts and films, as for the other heads."""
    model = small('dformer_semantic', 'mmseg', num_classes=4)
    model.eval()
    diffusing = MODELS.get('mmdiffseg.DiffusionEncoderDecoder')
    model.__class__ = diffusing  # the same parameters and configs
    samples = [
        SegDataSample(
            metainfo=dict(
                img_path='a.jpg', img_shape=(60, 90), pad_shape=(64, 96), ori_shape=(30, 45)
            )
        )
    ]
    image = torch.randn(1, 3, 64, 96)
    frames = model.predict_trajectory(image, samples, steps=3)
    counts = model.predict_steps(image, samples, steps=(1, 3))
    assert len(frames) == 3 and list(counts) == [1, 3]
    assert frames[0][0].seg_logits.data.shape == (4, 30, 45)
    last = counts[3][0].pred_sem_seg.data
    # a frame is resized after the classes are put together, a prediction before
    assert (frames[2][0].pred_sem_seg.data == last).float().mean() > 0.9
    model.decode_head.steps = 2
    for measure in ('entropy', 'change'):
        model.test_cfg.uncertainty = measure
        (sample,) = model.predict(image, [samples[0].clone()])
        uncertainty = sample.uncertainty.data
        assert uncertainty.shape == (1, 30, 45)
        assert 0 <= uncertainty.min() <= uncertainty.max() <= 1
    model.__class__ = MODELS.get('mmseg.EncoderDecoder')
    (plain,) = model.predict(image, [samples[0].clone()])
    assert torch.equal(sample.pred_sem_seg.data, plain.pred_sem_seg.data)
