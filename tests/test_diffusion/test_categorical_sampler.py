from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion import (
    AbsorbingDiffusion,
    BernoulliDiffusion,
    CategoricalSampler,
    CCDMCosineBetas,
    CosineBetas,
    CosineLogSNR,
    DDIMSampler,
    Draws,
    UniformDiffusion,
)
from mmdiffseg.diffusion.categorical_sampler import COUPLINGS, LastingDraws
from mmdiffseg.diffusion.known_modes import KnownModes
from mmdiffseg.registry import SAMPLERS

RECORDED = torch.load(Path(__file__).parents[1] / 'data/categorical.pt')
SCHEDULE = CosineBetas(num_timesteps=250)
KERNELS = {
    'uniform': UniformDiffusion(num_classes=3, schedule=SCHEDULE),
    'absorbing': AbsorbingDiffusion(num_classes=3, schedule=SCHEDULE),
    'bernoulli': BernoulliDiffusion(schedule=SCHEDULE),
}


def walk(sampler, predict, *, rows=1, size=(8, 8), steps=5, draws=None):
    draws = draws or Draws(generator=torch.Generator().manual_seed(0))
    shape = (rows, sampler.schedule.channels, *size)
    encode = sampler.schedule.encode_output
    return list(sampler.walk(predict, encode, shape=shape, steps=steps, draws=draws))


def unsure(diffusion):
    """A denoiser that says the same of every pixel."""
    logits = torch.tensor([0.7, 0.0, -0.5])[: diffusion.num_classes, None, None]
    return lambda z_t, t: (logits.expand(len(z_t), -1, *z_t.shape[2:]), None)


@pytest.mark.parametrize('chain', RECORDED['chains'].values(), ids=RECORDED['chains'])
def test_recorded_chains_are_replayed(chain):
    timesteps, noise, steps = chain['T'], chain['gumbel'], len(chain['times'])

    def predict(z_t, t):
        maps = torch.cat([z_t, chain['image']], dim=1)
        logits = F.conv2d(maps, chain['weight'], chain['bias'], padding=1)
        return logits + chain['time_bias'][:, None, None] * ((t + 1) / timesteps), None

    schedule = CCDMCosineBetas(num_timesteps=timesteps)
    diffusion = UniformDiffusion(num_classes=chain['K'], schedule=schedule, skip='ccdm')
    final = {'majority': 'argmax', 'confidence': 'probs'}[chain['last_step']]
    sampler = CategoricalSampler(schedule=diffusion, final=final)
    names = ['start', *(f'step{i}' for i in range(steps - 1))]
    draws = Draws(dict(zip(names, noise, strict=True)))
    rows, *size = chain['x_in'][0].shape
    seen = walk(sampler, predict, rows=rows, size=size, steps=steps, draws=draws)
    assert [step.t + 1 for step in seen] == chain['times'].tolist()
    for step, state in zip(seen, chain['x_in'], strict=True):
        assert torch.equal(step.z_t, diffusion.one_hot(state))
    torch.testing.assert_close(seen[-1].x0, chain['final'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('final', ['argmax', 'sample', 'probs'])
def test_every_kernel_walks_to_a_clean_map(kernel, final):
    diffusion = KERNELS[kernel]
    sampler = CategoricalSampler(schedule=diffusion, final=final)
    seen = walk(sampler, unsure(diffusion), rows=2, steps=4)
    assert [step.index for step in seen] == [0, 1, 2, 3]
    assert all(isinstance(step.now.t, int) for step in seen)
    for step in seen:
        assert step.z_t.shape == (2, diffusion.channels, 8, 8)
        assert ((step.z_t == 0) | (step.z_t == 1)).all()  # states, not their probabilities
        assert step.x0.shape == (2, 1 if kernel == 'bernoulli' else diffusion.num_classes, 8, 8)
    end = seen[-1].x0
    torch.testing.assert_close(diffusion.all_states(end).sum(dim=1), torch.ones(2, 8, 8))
    labels = diffusion.decode(end)
    assert 0 <= labels.min() and labels.max() < diffusion.num_classes
    if final != 'probs':
        channels = end.shape[1]
        assert torch.equal(diffusion.one_hot(labels)[:, :channels], end)


def test_probabilities_at_the_end_are_those_of_the_denoiser():
    diffusion = KERNELS['uniform']
    *_, last = walk(CategoricalSampler(schedule=diffusion, final='probs'), unsure(diffusion))
    torch.testing.assert_close(last.x0, diffusion.encode_output(last.output))


def test_seen_pixels_keep_their_class_to_the_end():
    diffusion = KERNELS['absorbing']
    sampler = CategoricalSampler(schedule=diffusion, spacing='trailing')
    *_, last = walk(sampler, unsure(diffusion), steps=10)
    shown = last.z_t[:, -1] == 0
    assert 0 < shown.float().mean() < 1
    assert torch.equal(diffusion.decode(last.x0)[shown], last.z_t.argmax(dim=1)[shown])
    assert (diffusion.decode(last.x0)[~shown] == 0).all()  # the most likely class


@pytest.mark.parametrize('kernel', KERNELS)
def test_independent_pixels_keep_their_frequencies(kernel):
    """Of a denoiser that knows the truth: 4 standard errors of 40,000 draws."""
    diffusion = KERNELS[kernel]
    probs = torch.tensor([0.6, 0.4] if kernel == 'bernoulli' else [0.5, 0.3, 0.2])

    def truth(z_t, t):
        states = torch.arange(diffusion.num_classes).view(-1, 1, 1)
        marginal = diffusion.all_states(diffusion.marginal(states, t))[..., 0, 0]  # (K, S)
        evidence = torch.einsum('ks,bshw->bkhw', marginal, diffusion.all_states(z_t))
        return (evidence * probs[:, None, None]).log(), None

    sampler = CategoricalSampler(schedule=diffusion, final='sample')
    *_, last = walk(sampler, truth, size=(200, 200), steps=5)
    found = F.one_hot(diffusion.decode(last.x0), diffusion.num_classes).float().mean((0, 1, 2))
    assert (found - probs).abs().max() < 4 * 0.5 / 200


def modes(steps, final, draws=2000):
    """Share of ones where all 64 pixels are 0 (0.7) or 1 (0.3), by the exact denoiser."""
    diffusion = UniformDiffusion(num_classes=2, schedule=SCHEDULE)

    def truth(z_t, t):
        stay = (1 + diffusion.schedule.alphas_cumprod[t].float()) / 2
        ones = z_t[:, 1].sum(dim=(1, 2))
        logit = torch.tensor(0.3 / 0.7).log() + (2 * ones - 64) * (stay / (1 - stay)).log()
        logit = logit.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        return torch.cat([torch.zeros_like(logit), logit], dim=1), None

    sampler = CategoricalSampler(schedule=diffusion, final=final)
    *_, last = walk(sampler, truth, rows=draws, steps=steps)
    return diffusion.decode(last.x0).float().mean(dim=(1, 2))


def test_one_step_is_pixel_noise_and_many_choose_a_mode():
    single = modes(1, 'sample')
    assert single.mean().item() == pytest.approx(0.3, abs=0.02)
    assert ((single > 0) & (single < 1)).float().mean() > 0.99
    many = modes(50, 'sample')
    assert ((many == 0) | (many == 1)).float().mean() > 0.99
    # .289 in 4,000 draws of a long run: jumps between kept times bias the modes a little
    assert many.mean().item() == pytest.approx(0.289, abs=0.04)
    assert (modes(1, 'argmax') == 0).all()


def test_the_expected_state_is_carried_on_where_it_is_asked_for():
    diffusion = KERNELS['uniform']
    sampler = CategoricalSampler(schedule=diffusion, state='expected')
    first, second, *_ = walk(sampler, unsure(diffusion))
    t, s = torch.tensor([[first.t], [second.t]])
    expected = diffusion.posterior(first.z_t, first.x0, t, s)
    assert torch.equal(second.z_t, expected)


@pytest.mark.parametrize(
    'options, names',
    [
        (dict(), ['start', 'step0', 'step1']),
        (dict(final='sample'), ['start', 'step0', 'step1', 'step2']),
        (dict(state='expected'), ['start']),
    ],
)
def test_what_a_chain_draws(options, names):
    class Recorder(Draws):
        def gumbel(self, name, shape, *, device=None):
            drawn.append(name)
            assert tuple(shape) == (1, 4, 8, 8)
            return super().gumbel(name, shape, device=device)

    drawn, diffusion = [], KERNELS['absorbing']
    sampler = CategoricalSampler(schedule=diffusion, **options)
    walk(sampler, unsure(diffusion), steps=3, draws=Recorder())
    assert drawn == names


def test_options_are_checked():
    schedule = KERNELS['uniform']
    for name in ('state', 'final'):
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'best'"):
            SAMPLERS.build({'type': 'CategoricalSampler', 'schedule': schedule, name: 'best'})


@pytest.mark.parametrize(
    'sampler, schedule',
    [(CategoricalSampler, CosineLogSNR()), (DDIMSampler, KERNELS['uniform'])],
)
def test_a_sampler_of_another_family_is_refused(sampler, schedule):
    with pytest.raises(TypeError, match=f'{sampler.__name__} follows a .*choose another'):
        sampler(schedule=schedule)


@pytest.mark.parametrize('kernel', ['uniform', 'absorbing'])
@pytest.mark.parametrize('steps', [1, 2, 5])
def test_a_common_number_makes_one_choice_for_all_pixels(kernel, steps):
    """All pixels 0 with 70 %, or all 1: draws by themselves cannot do this in so few steps."""
    diffusion = KERNELS[kernel]
    modes = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)]).long()
    known = KnownModes(modes, torch.tensor([0.7, 0.3]), schedule=diffusion)

    def ones(coupling):
        sampler = CategoricalSampler(
            schedule=diffusion, coupling=coupling, spacing='log_snr', final='sample'
        )
        chain = sampler.walk(
            known.predict,
            known.encode,
            shape=(2000, diffusion.channels, 8, 8),
            steps=steps,
            draws=Draws(generator=torch.Generator().manual_seed(0)),
        )
        return diffusion.decode([*chain][-1].x0).float().mean(dim=(1, 2))

    shares = ones('common')
    assert ((shares == 0) | (shares == 1)).float().mean() > 0.999
    assert abs(shares.mean() - 0.3) < 0.035  # 3 standard errors
    if steps == 1:
        assert not ((ones('independent') == 0) | (ones('independent') == 1)).any()


@pytest.mark.parametrize('kernel', KERNELS)
def test_the_common_coupling_keeps_the_probabilities_of_every_pixel(kernel):
    diffusion = KERNELS[kernel]
    moved = {}
    for coupling in COUPLINGS:
        sampler = CategoricalSampler(schedule=diffusion, coupling=coupling, final='sample')
        seen = walk(sampler, unsure(diffusion), rows=4000, size=(2, 2), steps=2)
        moved[coupling] = [m.float().mean(dim=(0, 2, 3)) for m in (seen[1].z_t, seen[1].x0)]
    for by_itself, common in zip(*moved.values(), strict=True):
        # a common number for four pixels leaves 4,000 draws: 3 standard errors
        torch.testing.assert_close(common, by_itself, atol=0.025, rtol=0)


def test_the_common_coupling_names_what_it_draws():
    sampler = CategoricalSampler(schedule=KERNELS['uniform'], coupling='common', final='sample')
    gumbel, u = torch.rand(1, 3, 8, 8), torch.tensor([[[0.99]]])
    draws = {'start': gumbel, 'step0': gumbel, 'step0.clean': u, 'step1.clean': u}
    seen = walk(sampler, unsure(KERNELS['uniform']), steps=2, draws=Draws(draws))
    assert (seen[-1].x0.argmax(dim=1) == 2).all()  # the highest number gives the highest class


@pytest.mark.parametrize('persistence, last', [(0.0, 0), (0.5, 0), (0.65, 2), (1.0, 2)])
def test_a_persistent_number_keeps_the_choice_of_a_network_that_forgets_it(persistence, last):
    sampler = CategoricalSampler(
        schedule=KERNELS['uniform'], coupling='common', persistence=persistence, final='sample'
    )
    gumbel, high, low = torch.rand(1, 3, 8, 8), torch.tensor([[[0.99]]]), torch.tensor([[[0.6]]])
    draws = {'start': gumbel, 'step0': gumbel, 'step0.clean': high, 'step1.clean': low}
    if persistence == 0:
        draws['step1.clean'] = low - 0.5  # class 0 as it is
    seen = walk(sampler, unsure(KERNELS['uniform']), steps=2, draws=Draws(draws))
    assert (seen[-1].x0.argmax(dim=1) == last).all()


def test_lasting_numbers_are_uniform():
    draws = LastingDraws(Draws(generator=torch.Generator().manual_seed(0)), 0.3)
    first, second = (draws.uniform(name, (20_000, 1, 1)) for name in ('a', 'b'))
    kept = first == second
    assert kept.float().mean().item() == pytest.approx(0.3, abs=0.01)
    for numbers in (second, second[kept], second[~kept]):
        shares = torch.histc(numbers, bins=10, min=0, max=1) / len(numbers.flatten())
        torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.012, rtol=0)


def test_persistence_without_effect_is_refused():
    with pytest.raises(ValueError, match="keeps a common number, which coupling='indep"):
        CategoricalSampler(schedule=KERNELS['uniform'], persistence=0.5)
    with pytest.raises(ValueError, match='persistence=1.5 is no probability'):
        CategoricalSampler(schedule=KERNELS['uniform'], coupling='common', persistence=1.5)


def test_couplings_that_do_nothing_are_refused():
    with pytest.raises(ValueError, match='coupling must be one of'):
        CategoricalSampler(schedule=KERNELS['uniform'], coupling='joint')
    with pytest.raises(ValueError, match="coupling='common' has no effect"):
        CategoricalSampler(schedule=KERNELS['uniform'], coupling='common', state='expected')
