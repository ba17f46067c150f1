import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample

from mmdiffseg.registry import MODELS


def build(type='mmdiffseg.SegDiff', test_cfg=None, **head):
    torch.manual_seed(0)
    decode_head = dict(
        type='mmdiffseg.SegDiffHead',
        in_channels=32,
        num_classes=2,
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=32,
            channel_mult=(1, 1, 1),
            num_res_blocks=1,
            attention_downsample=(),
        ),
        steps=3,
        generations=2,
    )
    model = MODELS.build(
        dict(
            type=type,
            data_preprocessor=dict(type='mmseg.SegDataPreProcessor', test_cfg=dict(size_divisor=4)),
            backbone=dict(
                type='mmdiffseg.RRDBNet',
                out_channels=32,
                mid_channels=4,
                growth_channels=2,
                num_blocks=1,
            ),
            decode_head=decode_head | head,
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        )
    )
    for parameter in model.decode_head.denoiser.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


IMAGES = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))


def samples():
    metas = [
        dict(ori_shape=(31, 40), padding_size=[0, 4, 0, 0], flip=False, img_path='a.png'),
        dict(
            ori_shape=(16, 24),
            padding_size=[0, 0, 0, 0],
            flip=True,
            flip_direction='horizontal',
            img_path='b.png',
        ),
    ]
    return [SegDataSample(metainfo=meta | dict(img_shape=(16, 24))) for meta in metas]


def masks_of(model, images, metas):
    """Masks (G, B, C, H, W) of all generations, as they leave the chains."""
    head = model.decode_head
    return head.generate(head.chains(model.extract_feat(images), metas), len(metas))


@torch.no_grad()
def test_generations_are_resized_then_clamped_then_averaged():
    model = build()
    predicted = model.predict(IMAGES, samples())
    masks = masks_of(model, IMAGES, [s.metainfo for s in samples()])

    first = F.interpolate(masks[:, 0, :, :, :20], (31, 40), mode='bilinear')  # unpadded
    second = masks[:, 1].flip(dims=(3,))  # unflipped
    for mask, sample in zip((first, second), predicted, strict=True):
        probs = ((mask + 1) / 2).clamp(0, 1)  # (N, 1, H, W)
        mean = probs.mean(dim=0)
        torch.testing.assert_close(sample.seg_prob.data, mean)
        torch.testing.assert_close(sample.seg_logits.data, torch.cat([1 - mean, mean]))
        assert torch.equal(sample.pred_sem_seg.data, (sample.seg_prob.data > 0.5).long())
        spread = (probs[0] - probs[1]).abs() / 2
        torch.testing.assert_close(sample.uncertainty.data, spread)
        assert 0 < sample.uncertainty.data.max() <= 0.5


@torch.no_grad()
def test_a_mean_of_exactly_the_threshold_is_background():
    model = build()
    probs = torch.tensor([[0.0, 1.0, 0.5], [1.0, 1.0, 0.5]]).view(2, 1, 1, 3)
    sample = SegDataSample()
    model.combine(torch.cat([1 - probs, probs], dim=1), sample)
    assert sample.pred_sem_seg.data.flatten().tolist() == [0, 1, 0]
    assert sample.samples.data.tolist() == [[[0, 1, 0]], [[1, 1, 0]]]  # (G, H, W)
    model.test_cfg.threshold = 0.4
    model.combine(torch.cat([1 - probs, probs], dim=1), sample)
    assert sample.pred_sem_seg.data.flatten().tolist() == [1, 1, 1]
    assert sample.samples.data.tolist() == [[[0, 1, 1]], [[1, 1, 1]]]


@torch.no_grad()
def test_a_plain_encoder_decoder_finds_the_same_masks():
    model, plain = build(), build(type='mmseg.EncoderDecoder')
    ours, theirs = model.predict(IMAGES, samples()), plain.predict(IMAGES, samples())
    # the second image is not resized, so the order of the operations does not matter
    torch.testing.assert_close(ours[1].seg_logits.data, theirs[1].seg_logits.data)
    assert torch.equal(ours[1].pred_sem_seg.data, theirs[1].pred_sem_seg.data)


@torch.no_grad()
def test_sliding_windows_average_raw_masks_of_whole_chains():
    # 24 columns: two windows of 16 that overlap, the second one shifted back to fit
    model = build(test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(16, 16)))
    predicted = model.predict(IMAGES)
    metas = [dict(img_path='')] * 2
    windows = [
        masks_of(model, IMAGES[..., x : x + 16], metas) for x in (0, 8)
    ]  # each (N, B, 1, 16, 16)
    total = F.pad(windows[0], (0, 8)) + F.pad(windows[1], (8, 0))
    total[..., 8:16] /= 2
    mean = ((total + 1) / 2).clamp(0, 1).mean(dim=0)
    for index in range(2):
        torch.testing.assert_close(predicted[index].seg_prob.data, mean[index])


@torch.no_grad()
def test_any_size_is_padded_and_cut_off_again():
    model = build()
    data = dict(
        inputs=[torch.randint(256, (3, 13, 18), dtype=torch.uint8)],
        data_samples=[
            SegDataSample(metainfo=dict(ori_shape=(13, 18), img_shape=(13, 18), img_path='a.png'))
        ],
    )
    (sample,) = model.test_step(data)
    assert sample.pred_sem_seg.shape == (13, 18)
    with pytest.raises(ValueError, match='multiples of 4, got 13x18'):
        model.predict(torch.randn(1, 3, 13, 18))


@torch.no_grad()
def test_the_film_follows_the_first_generation():
    model = build()
    frames = model.predict_trajectory(IMAGES, samples(), 3)
    assert len(frames) == 3
    metas = [s.metainfo for s in samples()]
    (chain,) = model.decode_head.chains(model.extract_feat(IMAGES), metas)
    seen = list(chain)
    last = model.decode_head.mask_probabilities(seen[-1].x0[1].flip(dims=(2,)))
    torch.testing.assert_close(frames[-1][1].seg_logits.data, last)
    noise = ((seen[0].z_t[1].flip(dims=(2,)) + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(frames[0][1].noisy_map.data[1:], noise)
    assert frames[0][0].noisy_map.shape == (31, 40)


@torch.no_grad()
def test_more_classes_take_the_largest_mean():
    model = build(num_classes=3)
    predicted = model.predict(IMAGES, samples())
    for sample in predicted:
        assert sample.seg_logits.data.shape[0] == 3
        assert torch.equal(sample.pred_sem_seg.data[0], sample.seg_logits.data.argmax(dim=0))
        assert 'seg_prob' not in sample
        assert sample.uncertainty.data.shape[0] == 1


@torch.no_grad()
def test_results_do_not_depend_on_the_batch_or_its_order():
    model = build()
    together = model.predict(IMAGES, samples())
    alone = model.predict(IMAGES[1:], samples()[1:])
    torch.testing.assert_close(
        together[1].seg_prob.data, alone[0].seg_prob.data, rtol=1e-4, atol=1e-4
    )
    turned = model.predict(IMAGES.flip(0), samples()[::-1])
    torch.testing.assert_close(
        together[0].seg_prob.data, turned[1].seg_prob.data, rtol=1e-4, atol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype):
    model = build()
    exact = model.predict(IMAGES, samples())
    with torch.autocast('cpu', dtype=dtype):
        half = model.predict(IMAGES, samples())
    difference = half[1].seg_prob.data - exact[1].seg_prob.data
    assert half[1].seg_prob.data.dtype == torch.float32
    assert difference.abs().mean() < 0.05
