import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws
from mmdiffseg.registry import MODELS


def build(**options):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='mmdiffseg.DDPHead',
            in_channels=16,
            channels=16,
            num_classes=4,
            label_encoder=dict(type='mmdiffseg.ClassEmbeddingEncoder', channels=8, scale=0.5),
            noise_schedule=dict(type='mmdiffseg.CosineLogSNR'),
            diffusion_sampler=dict(type='mmdiffseg.DDIMSampler', time_difference=1),
            denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=2),
            loss_decode=dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0),
        )
        | options
    )
    for parameter in head.denoiser.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return head.eval()


def from_one(**options):
    """A head that samples from t = 1, as the released code does."""
    sampler = dict(type='mmdiffseg.DDIMSampler', time_difference=1, t_max=1.0)
    return build(diffusion_sampler=sampler, **options)


def samples_of(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


def meta(name, **more):
    return dict(img_path=f'/data/{name}', img_shape=(24, 20), pad_shape=(24, 20), **more)


FEATURE = torch.randn(3, 16, 6, 5, generator=torch.Generator().manual_seed(1))
METAS = [meta('a.png'), meta('b.png'), meta('c.png')]


# ---------------------------------------------------------------- training


def test_training_step_by_hand():
    head = build()
    labels = torch.randint(4, (2, 1, 24, 20))
    labels[0, 0, :8] = 255
    t, noise = torch.tensor([0.3, 0.8]), torch.randn(2, 8, 6, 5)
    draws = Draws(dict(t=t, eps=noise))
    losses = head.loss([FEATURE[:2]], samples_of(labels), {}, draws=draws)

    small = labels[:, 0, ::4, ::4]
    x0 = head.label_encoder.embedding_table.weight[small.where(small != 255, 4)]
    x0 = (2 * x0.sigmoid() - 1).permute(0, 3, 1, 2) * 0.5
    alpha, sigma = head.noise_schedule.alpha_sigma(t)
    z_t = alpha.view(2, 1, 1, 1) * x0 + sigma.view(2, 1, 1, 1) * noise
    context = head.denoiser.prepare(FEATURE[:2])
    logits = head.conv_seg(head.denoiser(z_t, head.noise_schedule.log_snr(t), context))
    logits = F.interpolate(logits, (24, 20), mode='bilinear')
    # ignored pixels cost nothing but count in the mean
    expected = F.cross_entropy(logits, labels[:, 0], ignore_index=255, reduction='sum')
    torch.testing.assert_close(losses['loss_ce'], expected / labels.numel())


def test_times_stay_in_their_range_and_differ_per_sample(monkeypatch):
    head = build(sample_range=(0.2, 0.4))
    seen = []
    log_snr = head.noise_schedule.log_snr
    monkeypatch.setattr(head.noise_schedule, 'log_snr', lambda t: seen.append(t) or log_snr(t))
    labels = torch.zeros(3, 1, 24, 20, dtype=torch.long)
    head.loss([FEATURE], samples_of(labels), {})
    assert len(set(seen[0].tolist())) == 3
    assert ((seen[0] >= 0.2) & (seen[0] <= 0.4)).all()


def test_self_aligned_training_by_hand():
    head = build(self_aligned=True)
    labels = torch.randint(4, (2, 1, 24, 20))
    t, noise = torch.tensor([0.3, 0.8]), torch.randn(2, 8, 6, 5)
    draws = Draws(dict(t=t, eps=noise))
    losses = head.loss([FEATURE[:2]], samples_of(labels), {}, draws=draws)

    context = head.denoiser.prepare(FEATURE[:2])
    found = head.denoise(noise, torch.ones(2), context).argmax(1)
    alpha, sigma = head.noise_schedule.alpha_sigma(t)
    z_t = alpha.view(2, 1, 1, 1) * head.label_encoder.encode(found)
    z_t = z_t + sigma.view(2, 1, 1, 1) * noise
    expected = head.loss_by_feat(head.denoise(z_t, t, context), samples_of(labels))
    torch.testing.assert_close(losses['loss_ce'], expected['loss_ce'])
    losses['loss_ce'].backward()
    grad = head.label_encoder.embedding_table.weight.grad
    assert grad[:4].abs().sum() > 0 and grad[4].abs().sum() == 0


def test_a_generator_replays_a_step_and_self_alignment_draws_noise_first():
    labels = torch.randint(4, (2, 1, 24, 20))
    for self_aligned in (False, True):
        head = build(self_aligned=self_aligned)
        draws = Draws(generator=torch.Generator().manual_seed(3))
        losses = head.loss([FEATURE[:2]], samples_of(labels), {}, draws=draws)
        g = torch.Generator().manual_seed(3)
        if self_aligned:
            noise = torch.randn(2, 8, 6, 5, generator=g)
            t = torch.rand(2, generator=g) * 0.999
        else:
            t = torch.rand(2, generator=g) * 0.999
            noise = torch.randn(2, 8, 6, 5, generator=g)
        draws = Draws(dict(t=t, eps=noise))
        expected = head.loss([FEATURE[:2]], samples_of(labels), {}, draws=draws)
        torch.testing.assert_close(losses['loss_ce'], expected['loss_ce'], rtol=1e-4, atol=1e-5)


def test_a_crop_without_labels_has_a_finite_loss():
    head = build()
    labels = torch.full((2, 1, 24, 20), 255)
    losses = head.loss([FEATURE[:2]], samples_of(labels), {})
    losses['loss_ce'].backward()
    assert losses['loss_ce'].item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_training(dtype):
    head = build()
    labels = torch.randint(4, (3, 1, 24, 20))
    with torch.autocast('cpu', dtype=dtype):
        losses = head.loss([FEATURE], samples_of(labels), {})
    assert losses['loss_ce'].dtype == torch.float32
    losses['loss_ce'].backward()
    assert head.label_encoder.embedding_table.weight.grad.abs().sum() > 0


# ---------------------------------------------------------------- inference


@pytest.mark.parametrize('accumulation', [False, 'prob'])
def test_sampling_by_hand(accumulation):
    head = from_one(generations=2, accumulation=accumulation)
    noise = torch.randn(2, 8, 6, 5)  # one image, two generations
    context = head.denoiser.prepare(FEATURE[:1])
    z, outputs = noise, []
    for now, then in [(1.0, 1 / 3), (2 / 3, 0.0), (1 / 3, 0.0)]:
        now, then = torch.tensor(now), torch.tensor(then)
        logits = head.denoise(z, now[None], context)
        outputs.append(logits)
        x0 = head.label_encoder.encode(logits.argmax(1))
        (a, s), (an, sn) = map(head.noise_schedule.alpha_sigma, (now, then))
        z = an * x0 + sn * (z - a * x0) / s.clamp(min=1e-8)
    expected = outputs[-1].mean(0)
    if accumulation == 'prob':
        expected = torch.stack(outputs).softmax(2).mean((0, 1))
    logits = head.summarise(head.chains([FEATURE[:1]], METAS[:1], Draws(dict(start=noise))), 1)
    torch.testing.assert_close(logits[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('sampler', ['DDIMSampler', 'DDPMSampler'])
def test_noise_belongs_to_the_image_not_to_the_batch(sampler):
    head = build(generations=3, diffusion_sampler=dict(type=sampler))
    together = head.predict([FEATURE], METAS, {})
    assert together.shape == (3, 4, 24, 20)
    for order in ([1], [2, 0], [0, 1]):
        alone = head.predict([FEATURE[order]], [METAS[i] for i in order], {})
        torch.testing.assert_close(alone, together[order], rtol=1e-4, atol=1e-5)


def test_a_memory_bound_changes_nothing_but_the_batches():
    free, bound = build(generations=5), build(generations=5, max_batch=6)
    sizes = []
    bound.denoiser.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    expected = free.predict([FEATURE], METAS, {})
    logits = bound.predict([FEATURE], METAS, {})
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert sizes == [6] * 3 + [6] * 3 + [3] * 3


def test_more_images_than_the_memory_bound_come_one_part_after_the_other():
    free, bound = build(generations=2), build(generations=2, max_batch=2)
    sizes = []
    bound.denoiser.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    draws = Draws(dict(start=torch.randn(6, 8, 6, 5)))  # two generations of three images
    for options in ({}, dict(draws=draws)):
        sizes.clear()
        expected = free.predict([FEATURE], METAS, {}, **options)
        logits = bound.predict([FEATURE], METAS, {}, **options)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
        # two images, each generation on its own, then the third image with both of its generations
        assert sizes == [2] * 3 + [2] * 3 + [2] * 3


def test_a_chain_may_be_left_early():
    head, calls = build(steps=10), []
    head.denoiser.register_forward_pre_hook(lambda module, args: calls.append(args[1]))
    (chain,) = head.chains([FEATURE], METAS)
    for step in chain:
        if step.index == 3:
            break
    assert len(calls) == 4
    assert step.output.shape == (3, 4, 6, 5) and step.x0.shape == (3, 8, 6, 5)


def test_sampling_stays_inside_the_trained_range():
    assert build().diffusion_sampler.time_pairs(1) == [(0.999, 0.0)]
    head = build(sample_range=(0.2, 0.8), steps=4)
    times = [t for pair in head.diffusion_sampler.time_pairs(4) for t in pair]
    assert max(times) == 0.8 and min(times) == pytest.approx(0.2)
    assert from_one().diffusion_sampler.time_pairs(1) == [(1.0, 0.0)]


def test_nothing_of_a_chain_has_a_gradient():
    head = build()
    for chain in head.chains([FEATURE], METAS):
        for step in chain:
            assert torch.is_grad_enabled()
            assert not (step.output.requires_grad or step.x0.requires_grad)
    assert torch.is_grad_enabled()


def test_views_of_an_image_get_noise_of_their_own():
    head = build()
    plain = head.predict([FEATURE[:1]], [meta('a.png')], {})
    flipped = head.predict(
        [FEATURE[:1]], [meta('a.png', flip=True, flip_direction='horizontal')], {}
    )
    moved = head.predict([FEATURE[:1]], [meta('elsewhere/a.png')], {})
    assert not torch.allclose(plain, flipped)
    assert torch.equal(plain, moved)


def test_the_seed_chooses_the_noise():
    first, second = build(seed=1), build(seed=2)
    assert not torch.allclose(*(h.predict([FEATURE], METAS, {}) for h in (first, second)))


def test_half_precision_weights_predict():
    head = build()
    full = head.predict([FEATURE], METAS, {})
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = head.predict([FEATURE], METAS, {})
    assert half.dtype == torch.float32
    assert (half.argmax(1) == full.argmax(1)).float().mean() > 0.8
    head.bfloat16().predict([FEATURE.bfloat16()], METAS, {})


@pytest.mark.parametrize('encoder', ['OneHotEncoder', 'AnalogBitsEncoder'])
@pytest.mark.parametrize('schedule', ['CosineLogSNR', 'LinearLogSNR'])
def test_ablations_train_and_predict(encoder, schedule):
    head = build(label_encoder=dict(type=encoder, scale=0.1), noise_schedule=dict(type=schedule))
    labels = torch.randint(4, (3, 1, 24, 20))
    head.loss([FEATURE], samples_of(labels), {})['loss_ce'].backward()
    assert head.predict([FEATURE], METAS, {}).isfinite().all()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(steps=0), 'steps must be at least 1, got 0'),
        (dict(generations=0), 'generations must be at least 1, got 0'),
        (dict(max_batch=0), 'max_batch must be at least 1, got 0'),
        (
            dict(sample_range=(0.5, 0.2)),
            r'sample_range must be \(low, high\) with 0 <= low < high <= 1, got \(0.5, 0.2\)',
        ),
        (dict(accumulation='logits'), "accumulation must be False or 'prob', got 'logits'"),
        (dict(label_encoder=dict(reencode='soft')), r"\{'reencode': 'soft'\} names no type"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_impossible_step_counts_at_test_time_are_refused():
    with pytest.raises(ValueError, match='steps must be at least 1, got -2'):
        build().predict([FEATURE], METAS, {}, steps=-2)


def test_labels_outside_the_classes_are_refused():
    labels = torch.zeros(1, 1, 24, 20, dtype=torch.long)
    labels[..., 0] = 4
    with pytest.raises(ValueError, match=r'labels must lie in \[0, 4\) or be 255 .* got \[4\]'):
        build().loss([FEATURE[:1]], samples_of(labels), {})


def test_noise_for_every_generation_is_required():
    draws = Draws(dict(start=torch.randn(3, 8, 6, 5)))
    with pytest.raises(ValueError, match="'start' has 3 rows, but .* generations are 6"):
        build(generations=2).predict([FEATURE], METAS, {}, draws=draws)


def test_recorded_step_noise_replays_a_stochastic_chain():
    head = build(generations=2, max_batch=3, diffusion_sampler=dict(type='DDPMSampler'))
    noise, step_noise = torch.randn(6, 8, 6, 5), torch.randn(2, 6, 8, 6, 5)
    given = dict(start=noise, step0=step_noise[0], step1=step_noise[1])
    first, again = (head.predict([FEATURE], METAS, {}, draws=Draws(given)) for _ in range(2))
    assert torch.equal(first, again)
    for name in ('step0', 'step1'):
        other = Draws(given | {name: -given[name]})
        assert not torch.equal(first, head.predict([FEATURE], METAS, {}, draws=other))


def test_a_generator_draws_instead_of_the_names():
    head = build()
    runs = [
        head.predict(
            [FEATURE], METAS, {}, draws=Draws(generator=torch.Generator().manual_seed(seed))
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize('name, width', [('ClassEmbeddingEncoder', 16), ('AnalogBitsEncoder', 3)])
def test_a_learned_code_is_as_wide_as_the_decoder(name, width):
    assert build(label_encoder=dict(type=f'mmdiffseg.{name}')).label_encoder.channels == width
