from pathlib import Path

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmdiffseg.diffusion import DDIMSampler, Draws, Step
from mmdiffseg.registry import MODELS

RECORDED = torch.load(Path(__file__).parents[2] / 'data/segdiff_diffusion.pt', weights_only=True)


@MODELS.register_module(force=True)
class RecordedDenoiser(nn.Module):
    """Answers what the authors' network was made to answer, whatever it is asked."""

    def __init__(self, in_channels, out_channels, feature_channels):
        super().__init__()
        self.outputs = RECORDED['common']['model_output_2ch'][:, :out_channels]
        if out_channels == 1:
            self.outputs = RECORDED['one_channel']

    def prepare(self, feature):
        return feature

    def forward(self, z_t, t, context):
        self.asked = z_t, t
        return self.outputs


def build(**options):
    torch.manual_seed(0)
    denoiser = dict(
        type='mmdiffseg.SegDiffUNet',
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_downsample=(2,),
    )
    head = MODELS.build(
        dict(
            type='mmdiffseg.SegDiffHead',
            in_channels=32,
            noise_schedule=dict(type='mmdiffseg.LinearBetas', num_timesteps=100),
            denoiser=denoiser,
            steps=4,
            generations=3,
        )
        | options
    )
    for parameter in head.denoiser.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return head.eval()


def samples_of(labels, **meta):
    return [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=meta | dict(img_path='a.png'))
        for label in labels
    ]


def meta(name, **more):
    return dict(img_path=f'/data/{name}', img_shape=(8, 12), pad_shape=(8, 12), **more)


FEATURE = torch.randn(3, 32, 8, 12, generator=torch.Generator().manual_seed(1))
METAS = [meta('a.png'), meta('b.png'), meta('c.png')]


def masks_of(head, feature=FEATURE, metas=METAS, draws=None, **options):
    """Masks (G, B, C, H, W) of all generations, as they leave the chains."""
    return head.generate(head.chains([feature], metas, draws, **options), len(metas))


# ---------------------------------------------------------------- training


def recorded_losses(variance, **options):
    common = RECORDED['common']
    head = build(
        denoiser=dict(type='mmdiffseg.RecordedDenoiser'),
        diffusion_sampler=dict(type='mmdiffseg.DDPMSampler', variance=variance),
        in_channels=1,
        **options,
    )
    labels = ((common['x_start'] + 1) / 2).long()
    feature = torch.zeros_like(common['x_start'])
    draws = Draws(dict(t=common['t'], eps=common['noise']))
    losses = head.loss([feature], samples_of(labels), {}, draws=draws)
    z_t, t = head.denoiser.asked
    torch.testing.assert_close(z_t, common['x_t'], rtol=0, atol=1e-6)
    assert torch.equal(t, common['t'])  # as it is, not rescaled
    return losses


@pytest.mark.parametrize(('reduction', 'key'), [('sum', 'sum'), ('mean', 'mse')])
def test_losses_of_the_released_code(reduction, key):
    losses = recorded_losses('fixed_large', loss_reduction=reduction)
    recorded = RECORDED['losses']['sum']
    assert set(losses) == {'loss_eps', 'mse'}
    torch.testing.assert_close(losses['loss_eps'], recorded[key].mean())
    torch.testing.assert_close(losses['mse'], recorded['mse'].mean())


def test_losses_of_the_released_code_with_a_learned_variance():
    losses = recorded_losses('learned_range', learn_variance=True)
    recorded = RECORDED['losses']['learned']
    torch.testing.assert_close(losses['loss_eps'], recorded['mse'].mean())
    torch.testing.assert_close(losses['loss_vb'], recorded['vb'].mean())
    torch.testing.assert_close(losses['loss_eps'] + losses['loss_vb'], recorded['loss'].mean())


def test_the_bound_trains_the_variance_alone():
    head = build(learn_variance=True)
    labels = torch.randint(2, (3, 1, 8, 12))
    head.loss([FEATURE], samples_of(labels), {})['loss_vb'].backward()
    mean, variance = head.denoiser.out[2].weight.grad  # the output's two channels
    assert not mean.any() and variance.any()


@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_no_loss_is_paid_for_ignored_pixels(reduction):
    head = build(loss_reduction=reduction)
    labels = torch.randint(2, (3, 1, 8, 12))
    labels[:, :, :4] = 255
    t, noise = torch.tensor([5, 50, 95]), torch.randn(3, 1, 8, 12)
    outputs = []
    head.denoiser.register_forward_hook(lambda module, args, output: outputs.append(output))
    losses = head.loss([FEATURE], samples_of(labels), {}, draws=Draws(dict(t=t, eps=noise)))
    error = (outputs[0] - noise)[:, :, 4:].square()
    expected = error.sum() / 3 if reduction == 'sum' else error.mean()
    torch.testing.assert_close(losses['loss_eps'], expected)


def test_times_cover_the_schedule_and_can_be_replayed():
    head = build()
    labels, asked = torch.randint(2, (64, 1, 8, 12)), []
    head.denoiser.register_forward_pre_hook(lambda module, args: asked.append(args[1]))
    feature = torch.zeros(64, 32, 8, 12)
    draws = (Draws(generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    losses = [
        head.loss([feature], samples_of(labels), {}, draws=each)['loss_eps'] for each in draws
    ]
    assert losses[0] == losses[1] != losses[2]
    t = torch.cat(asked)
    assert t.min() < 10 and t.max() > 90 and t.min() >= 0 and t.max() <= 99


def test_labels_that_do_not_fit_are_refused():
    head = build()
    with pytest.raises(ValueError, match=r'lie in \[0, 2\).*got \[3\]'):
        head.loss([FEATURE], samples_of(torch.full((3, 1, 8, 12), 3)), {})
    with pytest.raises(ValueError, match=r'\(16, 24\) pixels meet a feature of \(8, 12\)'):
        head.loss([FEATURE], samples_of(torch.zeros(3, 1, 16, 24).long()), {})


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize('variance', ['fixed_large', 'fixed_small', 'learned_range'])
@pytest.mark.parametrize('row', range(6))
def test_steps_of_the_released_code(variance, row):
    # one step of the chain at each recorded time, by way of the head's prediction
    head = build(
        denoiser=dict(type='mmdiffseg.RecordedDenoiser'),
        diffusion_sampler=dict(type='mmdiffseg.DDPMSampler', variance=variance),
        learn_variance=variance == 'learned_range',
        clip_denoised=True,
        in_channels=1,
    )
    common = RECORDED['common']
    if variance != 'learned_range':
        head.denoiser.outputs = RECORDED['one_channel']
    head.denoiser.outputs = head.denoiser.outputs[row : row + 1]
    t = common['t'][row].item()
    sampler = head.diffusion_sampler
    sampler.time_pairs = lambda steps: [(t, t - 1), (t - 1, t - 2)][:steps]
    head.generations = 1
    names = dict(start='x_t', step0='step_noise')
    draws = Draws({name: common[key][row : row + 1] for name, key in names.items()})
    feature = torch.zeros(1, 1, 8, 9)
    (chain,) = head.chains([feature], METAS[:1], draws, steps=2 if t else 1)
    seen = list(chain)
    recorded = RECORDED[variance]
    torch.testing.assert_close(
        seen[0].x0, recorded['pred_xstart'][row : row + 1], rtol=1e-6, atol=1e-6
    )
    if t:
        torch.testing.assert_close(
            seen[1].z_t, recorded['p_sample'][row : row + 1], rtol=1e-6, atol=1e-6
        )


def test_ddim_steps_of_the_released_code():
    common = RECORDED['common']
    schedule = build().noise_schedule
    for eta, recorded in RECORDED['ddim'].items():
        sampler = DDIMSampler(schedule=schedule, eta=eta)
        for row, t in enumerate(common['t'].tolist()):
            now, then = sampler.coefficients([t, t - 1])
            eps = RECORDED['one_channel'][row]
            x0 = (common['x_t'][row] - now.sigma * eps) / now.alpha
            seen = Step(
                index=0,
                now=now,
                z_t=common['x_t'][row],
                output=x0,
                variance=None,
                encode=lambda output: output,
            )
            step = sampler.step([seen], then, common['step_noise'][row])
            torch.testing.assert_close(step, recorded[row], rtol=2e-5, atol=2e-5)


def test_a_chain_by_hand():
    head = build(steps=2, generations=1)
    noise, fresh = torch.randn(2, 3, 1, 8, 12)
    masks = masks_of(head, draws=Draws(dict(start=noise, step0=fresh)))
    assert masks.shape == (1, 3, 1, 8, 12)

    schedule, context = head.noise_schedule, head.denoiser.prepare(FEATURE)
    abar = schedule.alphas_cumprod

    def estimate(z_t, t):
        eps = head.denoiser(z_t, torch.tensor([t]), context)
        return (z_t - (1 - abar[t]).sqrt() * eps) / abar[t].sqrt()

    # two steps of 100, both ends included: 99 to 0, then to the clean mask
    x0 = estimate(noise, 99)
    beta = 1 - abar[99] / abar[0]
    mean = abar[0].sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - abar[0]) * noise
    z_0 = mean / (1 - abar[99]) + beta.sqrt() * fresh
    torch.testing.assert_close(masks[0], estimate(z_0, 0), rtol=1e-4, atol=1e-4)


def test_each_image_and_generation_has_noise_of_its_own():
    head = build()
    together = masks_of(head)
    assert together.shape == (3, 3, 1, 8, 12)
    alone = masks_of(head, FEATURE[1:2], METAS[1:2])
    torch.testing.assert_close(together[:, 1:2], alone, rtol=1e-4, atol=1e-4)
    head.max_batch = 4
    torch.testing.assert_close(masks_of(head), together, rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().mean() > 0.1


def test_objects_of_one_image_differ_by_their_sample_id():
    head = build(generations=1)
    feature = FEATURE[:1].expand(2, -1, -1, -1)
    objects = [meta('a.png', sample_id=f'a_{i}') for i in range(2)]
    first, second = masks_of(head, feature, objects)[0]
    assert (first - second).abs().mean() > 0.1


def test_the_image_is_prepared_once():
    head, calls = build(max_batch=3), []
    prepare = head.denoiser.prepare
    head.denoiser.prepare = lambda *feature: calls.append(1) or prepare(*feature)
    assert masks_of(head).shape == (3, 3, 1, 8, 12)
    assert len(calls) == 1


def test_probabilities_are_clamped_and_sum_to_one():
    head = build()
    probs = head.mask_probabilities(torch.tensor([-3.0, -1.0, 0.5, 2.0]).view(1, 1, 1, 4))
    assert probs.squeeze().tolist() == [[1, 1, 0.25, 0], [0, 0, 0.75, 1]]
    output = torch.tensor([-3.0, -1.0, 0.5, 2.0]).view(1, 1, 1, 4)
    assert torch.equal(head.probabilities(torch.cat([-output, output], dim=1)), probs)
    predicted = head.predict([FEATURE], METAS, {})
    assert predicted.shape == (3, 2, 8, 12)
    torch.testing.assert_close(predicted.sum(dim=1), torch.ones(3, 8, 12))


def test_clipping_bounds_every_estimate():
    for clip, bounded in ((True, True), (False, False)):
        (chain,) = build(clip_denoised=clip).chains([FEATURE], METAS)
        assert all(step.x0.abs().max() <= 1 for step in chain) == bounded


@pytest.mark.parametrize('num_classes', [2, 3])
def test_the_output_of_a_step_is_a_map_for_each_class(num_classes):
    head = build(num_classes=num_classes)
    (chain,) = head.chains([FEATURE], METAS)
    for step in chain:
        assert step.output.shape == (9, num_classes, 8, 12)
        assert torch.equal(step.x0, step.output[:, 1:] if num_classes == 2 else step.output)
    if num_classes == 2:
        assert torch.equal(step.output[:, 0], -step.output[:, 1])


# ---------------------------------------------------------------- options


def test_more_classes_are_denoised_in_a_channel_each():
    head = build(num_classes=4)
    labels = torch.randint(4, (3, 1, 8, 12))
    asked = []
    head.denoiser.register_forward_pre_hook(lambda module, args: asked.append(args[0]))
    # at the cleanest time almost nothing of the code is hidden
    noise = torch.zeros(3, 4, 8, 12)
    draws = Draws(dict(t=torch.zeros(3).long(), eps=noise))
    head.loss([FEATURE], samples_of(labels), {}, draws=draws)
    assert asked[0].shape == (3, 4, 8, 12)
    assert torch.equal(asked[0].argmax(dim=1), labels[:, 0])
    assert asked[0].amin() < -0.99 and asked[0].amax() > 0.99
    assert head.predict([FEATURE], METAS, {}).shape == (3, 4, 8, 12)


def test_a_conditioned_network_is_told_the_class_of_each_image():
    denoiser = dict(
        type='mmdiffseg.SegDiffUNet',
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_downsample=(),
        num_image_classes=3,
    )
    head = build(denoiser=denoiser, generations=2)
    asked = []
    head.denoiser.label_emb.register_forward_pre_hook(lambda module, args: asked.append(args[0]))
    metas = [meta(f'{i}.png', image_class=i) for i in range(3)]
    draws = Draws(generator=torch.Generator().manual_seed(0))
    told = masks_of(head, metas=metas, draws=draws)
    assert [ids.tolist() for ids in asked] == [[0, 1, 2]]
    # each generation hears of the class of its image
    for index, others in enumerate([(0, 2), (1,)]):
        changed = [meta(f'{i}.png', image_class=2 - i) for i in range(3)]
        draws = Draws(generator=torch.Generator().manual_seed(0))
        other = masks_of(head, metas=changed, draws=draws)
        moved = (told - other).abs().amax(dim=(2, 3, 4)) > 1e-4  # (G, B)
        assert all(moved[:, i].all() == (index == 0) for i in others)
    labels = torch.zeros(3, 1, 8, 12).long()
    head.loss([FEATURE], samples_of(labels, image_class=2), {})
    assert asked[-1].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match='needs the class of /data/a.png'):
        masks_of(head)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(steps=101), 'steps must lie in 1 .. 100, got 101'),
        (dict(generations=0), 'generations must be at least 1, got 0'),
        (dict(max_batch=0), 'max_batch must be at least 1, got 0'),
        (dict(loss_reduction='max'), "got 'max'"),
        (
            dict(diffusion_sampler=dict(type='DDPMSampler', variance='learned_range')),
            'needs a network with learn_variance=True',
        ),
        (dict(noise_schedule=dict(type='LinearBetas', num_timesteps=20)), 'above 20, got 20'),
        (
            dict(num_classes=3, label_encoder=dict(type='BinaryMaskEncoder')),
            'a binary mask has 2 classes',
        ),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(**options)


def test_a_network_that_learns_its_variance_goes_with_any_sampler():
    sampler = dict(type='DDPMSampler', variance='learned_range')
    learned = build(learn_variance=True, diffusion_sampler=sampler)
    for sampler in (dict(type='DDIMSampler'), dict(type='DDPMSampler', variance='fixed_large')):
        head = build(learn_variance=True, diffusion_sampler=sampler)
        head.load_state_dict(learned.state_dict())
        assert masks_of(head).isfinite().all()


def test_all_parameters_are_those_of_the_released_network():
    head = build()
    assert {name.split('.')[0] for name, _ in head.named_parameters()} == {'denoiser'}
    assert not [name for name in head.state_dict() if not name.startswith('denoiser.')]
