import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.ddp.sparse_depth import DOWNSAMPLE_RULES
from mmdiffseg.registry import MODELS


def build(time_modulation=True, **options):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='mmdiffseg.DDPDepthHead',
            in_channels=16,
            channels=16,
            min_depth=1e-3,
            max_depth=10,
            denoiser=dict(
                type='mmdiffseg.DeformableMapDecoder',
                num_layers=2,
                time_modulation=time_modulation,
            ),
        )
        | options
    )
    for parameter in head.denoiser.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    head.conv_depth.bias.data.fill_(4.0)
    return head.eval()


def samples_of(depths):
    return [SegDataSample(gt_depth_map=PixelData(data=depth)) for depth in depths]


def meta(name, **more):
    return dict(img_path=f'/data/{name}', img_shape=(24, 20), pad_shape=(24, 20), **more)


FEATURE = torch.randn(3, 16, 6, 5, generator=torch.Generator().manual_seed(1))
DEPTH = torch.rand(3, 1, 24, 20, generator=torch.Generator().manual_seed(2)) * 9
DEPTH[:, :, :10] = 0
METAS = [meta('a.png'), meta('b.png'), meta('c.png')]


# ---------------------------------------------------------------- training


@pytest.mark.parametrize('time_input', ['t', 'log_snr'])
def test_training_step_by_hand(time_input):
    head = build(time_input=time_input)
    t, noise = torch.tensor([0.3, 0.6, 0.8]), torch.randn(3, 1, 6, 5)
    draws = Draws(dict(t=t, eps=noise))
    losses = head.loss([FEATURE], samples_of(DEPTH), {}, draws=draws)

    small = F.interpolate(DEPTH, (6, 5), mode='bilinear')
    x0 = ((small - 1e-3) / (10 - 1e-3) * 2 - 1) * 0.1
    gamma = (torch.cos((t + 2e-4) / (1 + 2.5e-4) * torch.pi / 2) ** 2).view(3, 1, 1, 1)
    z_t = gamma.sqrt() * x0 + (1 - gamma).sqrt() * noise
    time = t if time_input == 't' else head.noise_schedule.log_snr(t)
    decoded = head.denoiser(z_t, time, head.denoiser.prepare(FEATURE))
    pred = head.conv_depth(decoded).relu() + 1e-3
    pred = F.interpolate(pred, (24, 20), mode='bilinear')
    g = (pred[DEPTH > 0] + 1e-3).log() - (DEPTH[DEPTH > 0] + 1e-3).log()
    torch.testing.assert_close(losses['loss_sig'], (g.var() + 0.15 * g.mean() ** 2).sqrt())


def test_a_generator_replays_a_step_and_draws_the_time_first():
    head = build(sample_range=(0.2, 0.9))
    draws = Draws(generator=torch.Generator().manual_seed(3))
    losses = head.loss([FEATURE], samples_of(DEPTH), {}, draws=draws)
    g = torch.Generator().manual_seed(3)
    t = torch.rand(3, generator=g) * 0.7 + 0.2
    noise = torch.randn(3, 1, 6, 5, generator=g)
    draws = Draws(dict(t=t, eps=noise))
    expected = head.loss([FEATURE], samples_of(DEPTH), {}, draws=draws)
    torch.testing.assert_close(losses['loss_sig'], expected['loss_sig'], rtol=1e-4, atol=1e-5)


def test_the_decoder_is_told_the_time_unless_as_released():
    noise = torch.randn(3, 1, 6, 5)
    for time_modulation in (True, False):
        head = build(time_modulation)
        context = head.denoiser.prepare(FEATURE)
        early, late = (head.denoise(noise, torch.full((3,), t), context) for t in (0.1, 0.9))
        assert torch.equal(early, late) != time_modulation


@pytest.mark.parametrize('rule', DOWNSAMPLE_RULES)
def test_every_rule_for_sparse_truth_trains(rule):
    head = build(gt_downsample=rule)
    head.loss([FEATURE], samples_of(DEPTH), {})['loss_sig'].backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_the_last_layer_starts_like_the_released_one():
    weight = build().conv_depth.weight  # uniform; torch's own would end at 1 / 12
    assert 1 / 12 < weight.abs().max() <= (6 / (16 * 9 + 9)) ** 0.5


def test_several_losses():
    losses = [dict(type='mmdiffseg.SigLoss'), dict(type='mmseg.SiLogLoss', loss_weight=0.5)]
    head = build(loss_decode=losses)
    assert head.loss([FEATURE], samples_of(DEPTH), {}).keys() == {'loss_sig', 'loss_silog'}


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_training(dtype):
    head = build()
    with torch.autocast('cpu', dtype=dtype):
        loss = head.loss([FEATURE], samples_of(DEPTH), {})['loss_sig']
    assert loss.dtype == torch.float32
    loss.backward()
    assert head.conv_depth.weight.grad.isfinite().all()


# ---------------------------------------------------------------- inference


def test_sampling_by_hand():
    # from t = 1, as the released code
    sampler = dict(type='DDIMSampler', time_difference=1, t_max=1.0)
    head = build(generations=2, diffusion_sampler=sampler)
    noise = torch.randn(2, 1, 6, 5)  # one image, two generations
    context = head.denoiser.prepare(FEATURE[:1])
    z = noise
    for now, then in [(1.0, 1 / 3), (2 / 3, 0.0), (1 / 3, 0.0)]:
        now, then = torch.tensor(now), torch.tensor(then)
        depth = head.denoise(z, now[None], context)
        y = ((((depth - 1e-3) / (10 - 1e-3)) * 2 - 1) * 0.1).clamp(-0.1, 0.1)
        g, gn = head.noise_schedule.gamma(now), head.noise_schedule.gamma(then)
        z = gn.sqrt() * y + (1 - gn).sqrt() * (z - g.sqrt() * y) / (1 - g).sqrt()
    sampled = head.summarise(head.chains([FEATURE[:1]], METAS[:1], Draws(dict(start=noise))), 1)
    torch.testing.assert_close(sampled[0], depth.mean(0).clamp(1e-3, 10), rtol=1e-4, atol=1e-5)


def test_depths_are_cut_off_in_prediction_only():
    head = build(max_depth=4.0)
    head.conv_depth.bias.data.fill_(50.0)
    context = head.denoiser.prepare(FEATURE)
    assert head.denoise(torch.zeros(3, 1, 6, 5), torch.ones(1), context).max() > 20
    assert (head.predict([FEATURE], METAS, {}) == 4).all()


def test_scale_up_stays_below_max_depth():
    head = build(scale_up=True)
    depth = head.denoise(torch.randn(3, 1, 6, 5), torch.ones(1), head.denoiser.prepare(FEATURE))
    assert ((depth > 5) & (depth < 10)).all()  # the bias is 4


@pytest.mark.parametrize('sampler', ['DDIMSampler', 'DDPMSampler'])
def test_noise_belongs_to_the_image_not_to_the_batch(sampler):
    head = build(generations=3, max_batch=4, diffusion_sampler=dict(type=sampler))
    together = head.predict([FEATURE], METAS, {})
    assert together.shape == (3, 1, 24, 20)
    for order in ([1], [2, 0], [0, 1]):
        alone = head.predict([FEATURE[order]], [METAS[i] for i in order], {})
        torch.testing.assert_close(alone, together[order], rtol=1e-4, atol=1e-5)


def test_a_chain_starts_inside_the_trained_range_and_ends_clean():
    sampler = build(sample_range=(0.1, 0.9)).diffusion_sampler
    assert sampler.time_pairs(2) == [(0.9, 0), (0.45, 0)]
    head = build(sample_range=(0.1, 0.9), diffusion_sampler=dict(type='DDIMSampler', t_max=1.0))
    assert head.diffusion_sampler.time_pairs(2) == [(1, 0.5), (0.5, 0)]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(steps=0), 'steps must be at least 1, got 0'),
        (dict(gt_downsample='mean'), "gt_downsample must be one of .* got 'mean'"),
        (dict(time_input='sigma'), "time_input must be one of .* got 'sigma'"),
        (dict(min_depth=10), 'need 0 < min_depth < max_depth, in metres, got 10 and 10'),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def spoilt(value, pixels=1):
    depth = DEPTH.clone()
    depth[0, 0, -pixels:] = value
    return depth


@pytest.mark.parametrize(
    'depth, message',
    [
        (torch.zeros_like(DEPTH), '0 pixels of a batch of 3 depth maps hold a depth above 0'),
        (F.pad(torch.ones(1, 1, 1, 1), (0, 19, 0, 23)), '1 pixels of a batch of 1 depth maps hold'),
        (spoilt(float('nan')), 'must be finite and not negative, .* got nan in 20 pixels'),
        (spoilt(float('inf')), 'got inf in 20 pixels'),
        (spoilt(-1.0), 'got -1.0 in 20 pixels'),
        (torch.full_like(DEPTH, 2500), r'100% .* above max_depth=10 m, up to 2500: .* in metres'),
    ],
)
def test_impossible_depths_are_refused(depth, message):
    with pytest.raises(ValueError, match=message):
        build().loss([FEATURE[: len(depth)]], samples_of(depth), {})


def test_a_few_depths_beyond_the_range_are_learnt_from():
    assert build().loss([FEATURE], samples_of(spoilt(12.0, 14)), {})['loss_sig'].isfinite()
