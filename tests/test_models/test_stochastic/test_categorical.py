from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import Draws

RECORDED = torch.load(Path(__file__).parents[2] / 'data/categorical.pt', weights_only=True)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
METAS = [dict(img_path='a.png'), dict(img_path='b.png')]
SCHEDULE = dict(type='CosineBetas', num_timesteps=20)


def build(build_head, kernel='UniformDiffusion', **options):
    kernel = dict(type=kernel, schedule=SCHEDULE)
    return build_head('CategoricalMapHead', **{'noise_schedule': kernel, **options})


def draws(head, seed=0):
    return Draws(generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('name, void', [('K2', False), ('K20_ignore', True)])
def test_training_step_of_the_released_code(build_head, truth, monkeypatch, name, void):
    case = RECORDED['losses'][name]
    classes = case['logits'].shape[1] - void
    head = build(
        build_head,
        num_classes=classes,
        void_class=void,
        noise_schedule=dict(type='UniformDiffusion', schedule=dict(type='CCDMCosineBetas')),
        denoiser=dict(type='mmdiffseg.CCDMUNet', channel_mult=(1,), attention_downsample=()),
    )
    logits = case['logits'].clone().requires_grad_()
    monkeypatch.setattr(head.denoiser, 'forward', lambda *args: logits)
    labels, x_t = case['x0'].long(), case['xt'].long()
    labels = labels.masked_fill(labels == classes, 255)
    # noise that draws the recorded state
    noise = 1e4 * torch.nn.functional.one_hot(x_t, classes + void).permute(0, 3, 1, 2).float()
    b, h, w = x_t.shape
    given = Draws(dict(t=case['t'] - 1, eps=noise))
    loss = head.loss([torch.zeros(b, 3, h, w)], truth(labels), {}, draws=given)['loss_kl']
    torch.testing.assert_close(loss.double(), case['loss'], atol=1e-6, rtol=1e-5)
    loss.backward()
    torch.testing.assert_close(logits.grad, case['grad_logits'], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    'kernel', ['UniformDiffusion', 'AbsorbingDiffusion', 'ImplicitUniformDiffusion']
)
@pytest.mark.parametrize('loss', ['kl', 'ce', 'kl+ce'])
def test_a_perfect_network_has_no_loss_and_gives_the_truth(
    build_head, truth, monkeypatch, kernel, loss
):
    head = build(build_head, kernel, loss=loss, generations=2, steps=3)
    labels = torch.randint(4, (2, 8, 8))
    logits = 50 * torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    monkeypatch.setattr(
        head.denoiser, 'forward', lambda z_t, t, _: logits.repeat(len(z_t) // 2, 1, 1, 1)
    )
    losses = head.loss([IMAGES], truth(labels), {}, draws=draws(head))
    assert list(losses) == [f'loss_{loss}'] and losses[f'loss_{loss}'].abs() < 1e-3
    probs = head.generate(head.chains([IMAGES], METAS), 2)
    assert torch.equal(probs.argmax(dim=2), labels.expand(2, -1, -1, -1))
    wrong = head.loss([IMAGES], truth((labels + 1) % 4), {}, draws=draws(head))
    assert wrong[f'loss_{loss}'] > 1


def test_both_losses_are_summed_by_weight(build_head, truth):
    labels = torch.randint(4, (2, 8, 8))
    losses = {}
    for loss, options in (('kl', {}), ('ce', {}), ('kl+ce', dict(ce_weight=0.25))):
        head = build(build_head, 'UniformDiffusion', loss=loss, **options)
        (losses[loss],) = head.loss([IMAGES], truth(labels), {}, draws=draws(head)).values()
    torch.testing.assert_close(losses['kl+ce'], losses['kl'] + 0.25 * losses['ce'])


def test_the_network_sees_the_drawn_state_and_times_from_1(build_head, truth, monkeypatch):
    head = build(build_head, 'AbsorbingDiffusion')
    asked = []
    monkeypatch.setattr(
        head.denoiser, 'forward', lambda *args: asked.append(args) or torch.zeros(2, 4, 8, 8)
    )
    labels = torch.randint(4, (2, 8, 8))
    noise = -torch.empty(2, 5, 8, 8).exponential_().log()
    given = dict(t=torch.tensor([0, 19]), eps=noise)
    head.loss([IMAGES], truth(labels), {}, draws=Draws(given))
    z_t, t, _ = asked[0]
    expected = head.noise_schedule.corrupt(labels, given['t'], noise)
    assert torch.equal(z_t.argmax(dim=1), expected) and (expected[1] == 4).all()
    assert t.tolist() == [1, 20]


def test_released_reduction_and_mean(build_head, truth):
    labels = torch.randint(4, (2, 8, 8))
    by_reduction = {
        reduction: (head := build(build_head, loss_reduction=reduction)).loss(
            [IMAGES], truth(labels), {}, draws=draws(head)
        )['loss_kl']
        for reduction in ('sum', 'mean')
    }
    torch.testing.assert_close(by_reduction['sum'], 64 * by_reduction['mean'])


def test_ignored_pixels_do_not_count(build_head, truth):
    head = build(build_head)
    ignored = truth(torch.full((2, 8, 8), 255))
    assert head.loss([IMAGES], ignored, {}, draws=draws(head))['loss_kl'] == 0


def test_the_void_class_is_diffused_but_neither_counted_nor_predicted(
    build_head, truth, monkeypatch
):
    head = build(build_head, void_class=True, loss='ce', loss_reduction='mean')
    assert head.noise_schedule.num_classes == 5
    labels = torch.randint(4, (2, 8, 8))
    labels[:, :4] = 255
    asked = []

    def forward(z_t, t, context):
        asked.append(z_t)
        return torch.zeros(len(z_t), 5, 8, 8)

    monkeypatch.setattr(head.denoiser, 'forward', forward)
    noise = torch.zeros(2, 5, 8, 8)  # the likeliest state, which is the clean one at time 0
    given = Draws(dict(t=torch.tensor([0, 0]), eps=noise))
    loss = head.loss([IMAGES], truth(labels), {}, draws=given)['loss_ce']
    assert torch.equal(asked[0].argmax(dim=1), labels.masked_fill(labels == 255, 4))
    torch.testing.assert_close(loss, torch.tensor(5.0).log() / 2)  # half of the pixels count
    output = torch.randn(2, 5, 8, 8)
    assert torch.equal(head.probabilities(output), output.softmax(dim=1)[:, :4])


def test_two_classes_by_the_bernoulli_kernel(build_head, truth):
    bernoulli = build(build_head, 'BernoulliDiffusion', num_classes=2, steps=4)
    assert bernoulli.denoiser.input_blocks[0][0].in_channels == 1 + 3
    assert bernoulli.probabilities(torch.randn(1, 2, 8, 8)).shape == (1, 2, 8, 8)
    labels = truth(torch.randint(2, (2, 8, 8)))
    assert bernoulli.loss([IMAGES], labels, {}, draws=draws(bernoulli))['loss_kl'] > 0
    probs = bernoulli.generate(bernoulli.chains([IMAGES], METAS), 2)
    assert probs.shape == (5, 2, 2, 8, 8)
    torch.testing.assert_close(probs.sum(dim=2), torch.ones(5, 2, 8, 8))


def test_more_classes_than_the_kernel_has_are_refused(build_head):
    with pytest.raises(ValueError, match='BernoulliDiffusion has 2 classes, got num_classes=4'):
        build(build_head, 'BernoulliDiffusion')
