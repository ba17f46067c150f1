from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import (
    AbsorbingDiffusion,
    BernoulliDiffusion,
    CCDMCosineBetas,
    CosineBetas,
    Draws,
    UniformDiffusion,
    categorical_cross_entropy,
    categorical_kl,
    categorical_loss,
)

RECORDED = torch.load(Path(__file__).parents[1] / 'data/categorical.pt')['losses']
TIMESTEPS = dict(K4_T3_has_t1=3)  # of the others: 250


@pytest.mark.parametrize('name', RECORDED)
def test_loss_and_gradient_equal_those_of_the_released_training_step(name):
    case = RECORDED[name]
    diffusion = UniformDiffusion(
        num_classes=case['logits'].shape[1],
        schedule=CCDMCosineBetas(num_timesteps=TIMESTEPS.get(name, 250)),
    )
    logits = case['logits'].clone().requires_grad_()
    states = (diffusion, case['xt'], case['x0'], logits.softmax(dim=1), case['t'] - 1)
    torch.testing.assert_close(categorical_kl(*states), case['kl_map'], rtol=0, atol=1e-6)
    loss = categorical_loss(*states, class_weight=case['class_weights'])
    # the release sums 20 x 20 terms a pixel in float32
    torch.testing.assert_close(loss.item(), case['loss'].item(), rtol=2e-5, atol=0)
    loss.backward()
    torch.testing.assert_close(logits.grad, case['grad_logits'], rtol=0, atol=1e-7)


@pytest.fixture
def two_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (3, 4, 5), generator=generator)
    labels[1, 0] = 255
    p = torch.rand(3, 2, 4, 5, generator=generator).double().softmax(dim=1)
    t = torch.tensor([0, 5, 19])
    noise = Draws(generator=generator).gumbel('noise', (3, 2, 4, 5))
    return labels, p, t, noise


@pytest.mark.parametrize('kind', ['kl', 'ce', 'kl+ce'])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_bernoulli_loses_what_two_classes_lose(two_classes, kind, reduction):
    labels, p, t, noise = two_classes
    schedule = CosineBetas(num_timesteps=20)
    one = BernoulliDiffusion(schedule=schedule)
    two = UniformDiffusion(num_classes=2, schedule=schedule)
    z_t = two.corrupt(labels, t, noise)
    options = dict(kind=kind, reduction=reduction, class_weight=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(
        categorical_loss(one, z_t, labels, p[:, 1:], t, **options),
        categorical_loss(two, z_t, labels, p, t, **options),
    )


def test_masked_pixels_lose_their_share_of_the_cross_entropy():
    schedule = CosineBetas(num_timesteps=20)
    diffusion = AbsorbingDiffusion(num_classes=3, schedule=schedule)
    labels = torch.tensor([[[0, 1, 2]]])
    p = torch.tensor([0.2, 0.5, 0.3]).double().view(1, 3, 1, 1).expand(-1, -1, 1, 3)
    z_t, t = torch.tensor([[[3, 1, 3]]]), torch.tensor([7])
    # the evidence lower bound's weight (abar_s - abar_t) / (1 - abar_t)
    abar = schedule.alphas_cumprod
    weight = (abar[6] - abar[7]) / (1 - abar[7])
    expected = weight * -torch.tensor([[[0.2, 1.0, 0.3]]]).double().log()
    torch.testing.assert_close(categorical_kl(diffusion, z_t, labels, p, t), expected)


def test_the_last_step_is_a_cross_entropy(two_classes):
    labels, p, t, noise = two_classes
    labels = labels.clamp(max=1)
    diffusion = UniformDiffusion(num_classes=2, schedule=CosineBetas(num_timesteps=20))
    z_t = diffusion.corrupt(labels, t, noise)
    kl = categorical_kl(diffusion, z_t, labels, p, t)
    torch.testing.assert_close(kl[0], categorical_cross_entropy(diffusion, labels, p)[0])
    assert (kl[1:] < categorical_cross_entropy(diffusion, labels, p)[1:]).all()


def test_ignored_pixels_do_not_count(two_classes):
    labels, p, t, noise = two_classes
    diffusion = UniformDiffusion(num_classes=2, schedule=CosineBetas(num_timesteps=20))
    z_t = diffusion.corrupt(labels, t, noise)
    other = p.clone()
    other[1, :, 0] = p[1, :, 0].flip(0)
    for kind in ('kl', 'ce'):
        losses = [categorical_loss(diffusion, z_t, labels, x, t, kind=kind) for x in (p, other)]
        torch.testing.assert_close(*losses)


def test_unknown_options_are_refused(two_classes):
    labels, p, t, _ = two_classes
    diffusion = UniformDiffusion(num_classes=2, schedule=CosineBetas(num_timesteps=20))
    for option in (dict(kind='mse'), dict(reduction='none')):
        with pytest.raises(ValueError, match='must be one of'):
            categorical_loss(diffusion, labels, labels, p, t, **option)
