import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample

from mmdiffseg.models.dformer.mask_classification import MaskPrediction, class_scores

SIZES = {8: (16, 24), 12: (8, 12), 16: (4, 6), 20: (2, 3)}


@pytest.fixture
def head(build_dformer_head):
    torch.manual_seed(0)
    head = build_dformer_head(type='mmdiffseg.DFormerSegHead', num_classes=4)
    head.init_weights()
    return head


@pytest.fixture
def x():
    torch.manual_seed(1)
    return [torch.randn(2, c, *size) for c, size in SIZES.items()]


def make_sample(labels, name='a'):
    return SegDataSample(
        metainfo=dict(img_path=f'{name}.png', img_shape=(60, 90), pad_shape=(64, 96)),
        gt_sem_seg=PixelData(data=labels),
    )


def test_a_class_has_one_mask_or_none(head):
    labels = torch.full((1, 64, 96), 255)
    labels[0, :5, :5] = 3
    labels[0, 20:30] = 0
    labels[0, :5, 50:] = 3
    present, nothing = head.make_targets(
        [make_sample(labels), make_sample(torch.full_like(labels, 255))]
    )
    assert present.labels.tolist() == [0, 3]
    assert torch.equal(present.masks[0], labels[0] == 0)
    assert torch.equal(present.masks[1], labels[0] == 3)
    assert nothing.masks.shape == (0, 64, 96)


def test_trains_as_a_decode_head(head, x):
    labels = torch.randint(4, (2, 1, 64, 96))
    labels[1] = 255
    samples = [make_sample(map_) for map_ in labels]
    losses = head.loss(x, samples, {})
    assert len(losses) == 12
    sum(losses.values()).backward()
    assert head.pixel_decoder.mask_feature.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match=r'labels must lie in \[0, 4\), got \[149\]'):
        head.loss(x, [make_sample(labels[0].clone().fill_(149)), samples[1]], {})


@torch.no_grad()
def test_scores_are_classes_times_masks(head, x):
    metas = [make_sample(torch.zeros(1, 64, 96), name).metainfo for name in 'ab']
    scores = head.predict(x, metas, {})
    assert scores.shape == (2, 4, 64, 96) and scores.min() >= 0
    cls_scores, masks = head.sample(x, metas)
    masks = F.interpolate(masks, (64, 96), mode='bilinear').sigmoid()
    probs = cls_scores.softmax(-1)
    torch.testing.assert_close(
        scores[1, 2], sum(probs[1, q, 2] * masks[1, q] for q in range(12)), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_windows_have_their_own_size(head, x):
    meta = dict(img_path='a.png', img_shape=torch.Size([48, 90]), pad_shape=(200, 300))
    assert head.predict(x, [meta, meta], {}).shape == (2, 4, 48, 90)


def test_has_what_an_encoder_decoder_asks_for(head):
    model = EncoderDecoder.__new__(EncoderDecoder)
    torch.nn.Module.__init__(model)
    for name in ('align_corners', 'num_classes', 'out_channels', 'ignore_index'):
        assert hasattr(head, name)
    assert head.num_classes == head.out_channels == 4


@torch.no_grad()
def test_generations_are_averaged(head, x):
    metas = [make_sample(torch.zeros(1, 64, 96), name).metainfo for name in 'ab']
    head.generations = 3
    scores = head.predict(x, metas, {})
    (chain,) = head.chains(x, metas)
    (step,) = chain
    parts = []
    for g in range(3):
        output = MaskPrediction(*(logits[2 * g : 2 * g + 2] for logits in step.output))
        masks = F.interpolate(output.masks, (64, 96), mode='bilinear')
        parts.append(class_scores(output.cls_scores, masks))
    torch.testing.assert_close(scores, torch.stack(parts).mean(dim=0))
    head.max_batch = 2
    torch.testing.assert_close(head.predict(x, metas, {}), scores, rtol=1e-3, atol=1e-4)


def test_settings_of_other_heads_are_explained(build_dformer_head):
    kind = dict(type='mmdiffseg.DFormerSegHead', num_classes=4)
    with pytest.raises(TypeError, match='takes no num_convs, dropout_ratio: .*_delete_=True'):
        build_dformer_head(**kind, num_convs=2, dropout_ratio=0.1)
    with pytest.raises(ValueError, match='resizes masks with align_corners=False, got True'):
        build_dformer_head(**kind, align_corners=True)
    assert build_dformer_head(**kind, align_corners=False).align_corners is False
