import pytest
import torch

from mmdiffseg.diffusion import (
    CategoricalSampler,
    CosineBetas,
    Draws,
    ImplicitUniformDiffusion,
    UniformDiffusion,
)

EXACT = dict(rtol=0, atol=1e-12)
SCHEDULE = CosineBetas(num_timesteps=50)


def implicit(classes=3, **options):
    return ImplicitUniformDiffusion(num_classes=classes, schedule=SCHEDULE, **options)


@pytest.mark.parametrize('eta', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('t, s', [(49, 20), (20, 19), (7, 0), (0, -1), (49, -1)])
def test_the_marginals_are_those_of_uniform_diffusion(eta, t, s):
    """Averaged over z_t, the step lands on the marginal at s."""
    diffusion, plain = implicit(eta=eta), UniformDiffusion(num_classes=3, schedule=SCHEDULE)
    labels = torch.arange(3).view(1, 1, 3)
    clean = diffusion.one_hot(labels).double()
    t, s = torch.tensor([t]), torch.tensor([s])
    at_t = plain.marginal(clean, t)
    steps = [diffusion.posterior(torch.full_like(labels, k), clean, t, s) for k in range(3)]
    assert all((step >= 0).all() for step in steps)
    average = sum(at_t[:, k, None] * step for k, step in enumerate(steps))
    expected = plain.marginal(clean, s) if s >= 0 else clean
    torch.testing.assert_close(average, expected, **EXACT)


def test_eta_says_how_much_is_kept():
    p = torch.tensor([0.2, 0.5, 0.3]).double().view(1, 3, 1, 1)
    z_t, t, s = torch.tensor([[[0]]]), torch.tensor([40]), torch.tensor([10])
    now, then = SCHEDULE.alphas_cumprod[[40, 10]]
    # nothing is kept: the marginal of what is predicted
    anew = implicit(eta=1.0).posterior(z_t, p, t, s)
    torch.testing.assert_close(anew, then * p + (1 - then) / 3, **EXACT)
    # no noise is added: x0, or what is there
    sigma = (1 - then) / (1 - now)
    kept = implicit(eta=0.0).posterior(z_t, p, t, s)
    there = torch.tensor([1.0, 0, 0]).double().view(1, 3, 1, 1)
    torch.testing.assert_close(kept, sigma * there + (1 - sigma) * p, **EXACT)
    with pytest.raises(ValueError, match=r'eta must lie in \[0, 1\], got 2'):
        implicit(eta=2)


@pytest.mark.parametrize('eta', [0.0, 1.0])
def test_chains_reach_what_a_perfect_denoiser_knows(eta):
    diffusion = implicit(eta=eta)
    labels = torch.randint(3, (2, 5, 4), generator=torch.Generator().manual_seed(0))
    sampler = CategoricalSampler(schedule=diffusion, final='sample')
    sure = 200 * diffusion.one_hot(labels)
    *_, last = sampler.walk(
        lambda z_t, t: (sure, None),
        diffusion.encode_output,
        shape=(2, 3, 5, 4),
        steps=7,
        draws=Draws(generator=torch.Generator().manual_seed(0)),
    )
    assert torch.equal(diffusion.decode(last.x0), labels)
