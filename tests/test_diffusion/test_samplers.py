import gc
import weakref

import pytest
import torch

from mmdiffseg.diffusion import (
    CosineLogSNR,
    DDIMSampler,
    DDPMSampler,
    DiscreteSchedule,
    Draws,
    LinearBetas,
    Sampler,
    Step,
    ddim_step,
    ddpm_step,
)
from mmdiffseg.diffusion.samplers import Coefficients
from mmdiffseg.registry import SAMPLERS

SCHEDULE = CosineLogSNR()


def coefficients(t):
    t64 = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha_sigma(t64)
    return Coefficients(t, alpha, sigma, SCHEDULE.log_snr(t64))


def towards(x0):
    return lambda z_t, t: (x0, None)


def keep(output):
    return output


def walk(sampler, predict, start, steps, encode=keep, **given):
    """A chain from a given start; what it is not given it draws."""
    draws = Draws({'start': start, **given}, generator=torch.Generator().manual_seed(0))
    return sampler.walk(predict, encode, shape=start.shape, steps=steps, draws=draws)


def seen_at(now, z_t, x0, variance=None):
    """The memory of a chain that has just made one step."""
    step = Step(index=0, now=now, z_t=z_t, output=x0, variance=variance, encode=keep)
    return [step]


def test_ddim_keeps_the_noise_it_finds():
    x0, eps = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64)
    now, then = coefficients(0.8), coefficients(0.3)
    z_s = ddim_step(now.alpha * x0 + now.sigma * eps, x0, now, then)
    torch.testing.assert_close(z_s, then.alpha * x0 + then.sigma * eps)


def test_ddim_at_eta_one_is_the_ancestral_step():
    z_t, x0, noise = torch.randn(3, 2, 3, 4, 4, dtype=torch.float64)
    now, then = coefficients(0.7), coefficients(0.4)
    torch.testing.assert_close(
        ddim_step(z_t, x0, now, then, eta=1.0, noise=noise),
        ddpm_step(z_t, x0, now, then, noise=noise),
    )


def test_ancestral_step_is_the_gaussian_posterior():
    z_t, x0, noise = torch.randn(3, 5, dtype=torch.float64)
    now, then = coefficients(0.7), coefficients(0.4)
    # Bayes by hand: z_s ~ N(alpha_s x0, sigma_s^2), z_t | z_s ~ N(a z_s, b)
    a = now.alpha / then.alpha
    b = now.sigma**2 - a**2 * then.sigma**2
    precision = 1 / then.sigma**2 + a**2 / b
    mean = (then.alpha * x0 / then.sigma**2 + a * z_t / b) / precision
    expected = mean + precision**-0.5 * noise
    torch.testing.assert_close(ddpm_step(z_t, x0, now, then, noise=noise), expected)


@pytest.mark.parametrize('steps', [1, 3, 10])
def test_a_walk_yields_every_step(steps):
    outputs = []

    def predict(z_t, t):
        assert t.shape == (1,)
        outputs.append(z_t + len(outputs))
        return outputs[-1], z_t * 0.25

    sampler = DDIMSampler(schedule=dict(type='CosineLogSNR'), time_difference=1)
    start = torch.randn(2, 3, 4, 4)
    seen = list(walk(sampler, predict, start, steps, encode=lambda output: output * 0.5))
    assert [step.index for step in seen] == list(range(steps))
    assert [step.t for step in seen] == pytest.approx([1 - k / steps for k in range(steps)])
    assert torch.equal(seen[0].z_t, start)
    for step, output in zip(seen, outputs, strict=True):
        assert step.output is output and step.t == step.now.t
        assert torch.equal(step.x0, output * 0.5)
        assert torch.equal(step.variance, step.z_t * 0.25)


def test_a_chain_without_steps_is_refused():
    with pytest.raises(ValueError, match='steps must be at least 1, got 0'):
        next(walk(DDIMSampler(schedule=SCHEDULE), towards(None), torch.zeros(1, 1, 2, 2), 0))


def test_leaving_the_loop_ends_the_chain():
    calls = []

    def predict(z_t, t):
        calls.append(t.item())
        return z_t, None

    chain = walk(DDIMSampler(schedule=SCHEDULE), predict, torch.randn(1, 1, 2, 2), 10)
    for step in chain:
        if step.index == 1:
            break
    assert len(calls) == 2


def test_the_estimate_is_made_when_it_is_asked_for_and_once():
    encoded = []

    def encode(output):
        encoded.append(output)
        return output * 2

    chain = walk(
        DDIMSampler(schedule=SCHEDULE),
        towards(1 + torch.zeros(1, 1, 2, 2)),
        *(torch.randn(1, 1, 2, 2), 3),
        encode=encode,
    )
    step = next(chain)
    assert not encoded
    assert step.x0 is step.x0 and len(encoded) == 1
    list(chain)
    # the sampler needs it between the steps, but not after the last one
    assert len(encoded) == 2


def test_neither_outputs_nor_estimates_have_a_gradient():
    weight = torch.ones(1, requires_grad=True)
    chain = walk(
        DDIMSampler(schedule=SCHEDULE),
        lambda z_t, t: (z_t * weight, z_t * weight),
        torch.randn(1, 1, 2, 2),
        3,
        encode=lambda output: output * weight,
    )
    for step in chain:
        # between the steps, the mode is the caller's
        assert torch.is_grad_enabled() and (weight * 2).requires_grad
        for value in (step.z_t, step.output, step.variance, step.x0):
            assert not value.requires_grad
    assert torch.is_grad_enabled()


def test_a_broken_chain_leaves_gradients_on():
    for _ in walk(DDIMSampler(schedule=SCHEDULE), towards(0), torch.randn(1, 1, 2, 2), 3):
        break
    assert torch.is_grad_enabled()


@pytest.mark.parametrize('memory', [1, 2, 3])
def test_a_solver_sees_as_many_steps_as_it_remembers(memory):
    class Multistep(Sampler):
        def step(self, seen, then, noise):
            remembered.append([step.index for step in seen])
            assert then.t < seen[-1].t
            return seen[-1].z_t

    Multistep.memory, remembered = memory, []
    list(walk(Multistep(schedule=SCHEDULE), towards(0), torch.zeros(1, 1, 2, 2), 5))
    expected = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert remembered == [steps[-memory:] for steps in expected]


def test_steps_that_no_solver_needs_are_forgotten():
    chain = walk(
        DDIMSampler(schedule=SCHEDULE),
        towards(torch.zeros(1, 1, 2, 2)),
        *(torch.randn(1, 1, 2, 2), 5),
    )
    first = weakref.ref(next(chain))
    next(chain)
    next(chain)
    gc.collect()
    assert first() is None


def test_ddim_loop_by_hand():
    noise, x0 = torch.randn(2, 1, 2, 3, 3)
    sampler = DDIMSampler(schedule=SCHEDULE, time_difference=1)
    seen = list(walk(sampler, towards(x0), noise, 3))
    z = noise.double()
    for (now, then), step in zip([(1, 1 / 3), (2 / 3, 0), (1 / 3, 0)], seen, strict=True):
        torch.testing.assert_close(step.z_t.double(), z, rtol=1e-4, atol=1e-5)
        (a, s), (an, sn) = (SCHEDULE.alpha_sigma(torch.tensor(float(t))) for t in (now, then))
        z = an * x0 + sn * (z - a * x0) / s


@pytest.mark.parametrize('sampler', [DDPMSampler, DDIMSampler])
def test_stochastic_chains_replay_and_do_not_depend_on_the_batch(sampler):
    options = dict(eta=0.7) if sampler is DDIMSampler else {}
    sampler = sampler(schedule=SCHEDULE, **options)

    def run(rows):
        draws = Draws.named([str(row) for row in rows], seed=0)
        chain = sampler.walk(
            lambda z_t, t: (z_t * 0.9, None), keep, shape=(len(rows), 2, 4, 4), steps=5, draws=draws
        )
        return list(chain)[-1].z_t

    together = run([0, 1, 2])
    torch.testing.assert_close(run([0, 1, 2]), together, rtol=0, atol=0)
    torch.testing.assert_close(run([2, 0]), together[[2, 0]], rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize(
    'sampler, names',
    [
        (DDIMSampler(schedule=SCHEDULE), ['start']),
        (DDIMSampler(schedule=SCHEDULE, eta=0.5), ['start', 'step0', 'step1', 'step2']),
        (DDPMSampler(schedule=SCHEDULE), ['start', 'step0', 'step1', 'step2']),
    ],
)
def test_a_chain_draws_its_start_and_the_noise_of_all_steps_but_the_last(sampler, names):
    class Recorder(Draws):
        def normal(self, name, shape, *, device=None):
            drawn.append(name)
            return super().normal(name, shape, device=device)

    drawn, shape = [], (1, 1, 2, 2)
    list(sampler.walk(lambda z, t: (z, None), keep, shape=shape, steps=4, draws=Recorder()))
    assert drawn == names


def test_recorded_noise_is_added():
    noise = torch.randn(2, 1, 1, 4, 4)
    x0, start = torch.randn(2, 1, 1, 4, 4)
    sampler = DDPMSampler(schedule=SCHEDULE)
    seen = list(walk(sampler, towards(x0), start, 3, step0=noise[0], step1=noise[1]))
    for step, then, z in zip(seen, seen[1:], noise, strict=False):
        expected = ddpm_step(step.z_t, x0, step.now, then.now, noise=z)
        torch.testing.assert_close(then.z_t, expected, rtol=0, atol=0)


def test_ancestral_chain_adds_noise_until_the_clean_time():
    sampler = DDPMSampler(schedule=SCHEDULE)
    x0 = torch.zeros(1, 1, 64, 64)
    seen = list(walk(sampler, towards(x0), torch.randn(1, 1, 64, 64), 4))
    for step in seen[1:]:
        sigma = SCHEDULE.alpha_sigma(torch.tensor(step.t))[1].item()
        assert step.z_t.std().item() == pytest.approx(sigma, rel=0.05)


def test_eta_is_checked():
    with pytest.raises(ValueError, match=r'eta must lie in \[0, 1\], got 2'):
        SAMPLERS.build(dict(type='DDIMSampler', schedule=SCHEDULE, eta=2))


def test_one_name_per_sample():
    sampler = DDPMSampler(schedule=SCHEDULE)
    draws = Draws.named(['a'], seed=0)
    chain = sampler.walk(towards(0), keep, shape=(2, 1, 2, 2), steps=2, draws=draws)
    with pytest.raises(ValueError, match='1 names for 2 rows'):
        next(chain)


def test_coefficients_at_the_noisy_end_are_finite():
    sampler = DDIMSampler(schedule=SCHEDULE)
    (end,) = sampler.coefficients([1.0])
    assert 0 < end.alpha < 1e-4 and end.sigma.item() == pytest.approx(1.0)
    assert end.log_snr.isfinite()


@pytest.mark.parametrize('sampler', ['DDIMSampler', 'DDPMSampler'])
def test_discrete_schedules_end_in_the_clean_map(sampler):
    schedule = dict(type='CosineBetas', num_timesteps=50)
    sampler = SAMPLERS.build(dict(type=sampler, schedule=schedule))
    assert sampler.time_pairs(5)[-1] == (9, -1)
    x0 = torch.randn(1, 2, 3, 3)
    seen = list(walk(sampler, towards(x0), torch.randn(1, 2, 3, 3), 50))
    assert [step.t for step in seen] == list(range(49, -1, -1))
    (clean,) = sampler.coefficients([-1])
    torch.testing.assert_close(sampler.step(seen[-1:], clean, None), x0)


def test_only_the_last_step_of_a_discrete_chain_adds_no_noise():
    sampler = DDPMSampler(schedule=LinearBetas(num_timesteps=100))
    zeros = torch.zeros(1, 1, 64, 64)
    second, first, clean = sampler.coefficients([1, 0, -1])
    noise = torch.randn(1, 1, 64, 64)
    assert sampler.step(seen_at(second, zeros, zeros), first, noise).std() > 0
    assert sampler.step(seen_at(first, zeros, zeros), clean, noise).std() == 0


def test_a_continuous_chain_adds_no_noise_on_its_way_to_the_clean_time():
    # with the time difference, the last but one step of three already ends there
    sampler = DDPMSampler(schedule=SCHEDULE, time_difference=1)
    x0, start = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    chains = []
    for seed in (0, 1):
        noise = dict(step0=x0, step1=torch.full_like(x0, seed))
        chains.append(list(walk(sampler, towards(x0), start, 3, **noise))[-1].z_t)
    assert torch.equal(*chains)


@pytest.mark.parametrize('variance', ['fixed_small', 'fixed_large', 'learned_range'])
def test_variances_of_an_ancestral_step_are_the_tables(variance):
    schedule = LinearBetas(num_timesteps=100)
    sampler = DDPMSampler(schedule=schedule, variance=variance)
    zeros, ones = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.ones(1, 1, 1, 1)
    now, then = sampler.coefficients([50, 49])
    large, small = schedule.betas[50], schedule.posterior_variance[50]
    expected = {
        'fixed_small': small,
        'fixed_large': large,
        'learned_range': large**0.25 * small**0.75,
    }
    step = sampler.step(seen_at(now, zeros, zeros, 0.25 * ones), then, ones)
    assert step.item() ** 2 == pytest.approx(expected[variance].item(), rel=1e-6)


def test_a_shorter_chain_is_the_schedule_of_its_times():
    # 25 of 100 times, once through the grid of the sampler and once through a schedule of 25
    full = LinearBetas(num_timesteps=100)
    sampler = DDPMSampler(schedule=full, spacing='uniform', variance='fixed_large')
    pairs = sampler.time_pairs(25)
    alphas_cumprod = full.alphas_cumprod[[t for t, _ in reversed(pairs)]]
    before = torch.cat([torch.ones(1), alphas_cumprod[:-1]])
    short = DiscreteSchedule(1 - alphas_cumprod / before)
    now, then = sampler.coefficients([*pairs[9]])
    x0, z_t, noise = torch.randn(3, 1, 1, 4, 4, dtype=torch.float64)
    index = 24 - 9
    mean = short.posterior_mean_coef1[index] * x0 + short.posterior_mean_coef2[index] * z_t
    expected = mean + short.betas[index].sqrt() * noise
    step = sampler.step(seen_at(now, z_t, x0), then, noise)
    torch.testing.assert_close(step, expected)


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match="got 'large'"):
        DDPMSampler(schedule=SCHEDULE, variance='large')


def test_labels_are_drawn_from_the_softmax_where_it_is_asked_for():
    logits = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 200, 200)
    draws = Draws(generator=torch.Generator().manual_seed(0))
    chain = DDIMSampler(schedule=SCHEDULE).walk(
        towards(logits),
        lambda output: output.argmax(dim=1, keepdim=True),
        shape=(1, 1, 200, 200),
        steps=3,
        draws=draws,
        draw_labels=True,
    )
    maps = []
    for step in chain:
        assert step.output is logits
        maps.append(step.x0)
    for labels in maps:
        shares = labels.flatten().bincount(minlength=3) / labels.numel()
        torch.testing.assert_close(shares, logits[0, :, 0, 0].softmax(0), rtol=0, atol=0.01)
    assert not torch.equal(maps[0], maps[1])


def test_drawn_labels_do_not_depend_on_who_asks_first():
    def end(asks):
        sampler = DDIMSampler(schedule=SCHEDULE, eta=1.0)
        draws = Draws.named(['a'], seed=0)
        for step in sampler.walk(
            lambda z_t, t: (z_t, None),
            lambda output: output.sign(),
            shape=(1, 1, 4, 4),
            steps=4,
            draws=draws,
            draw_labels=True,
        ):
            if asks:
                assert step.x0.isfinite().all()
        return step.z_t

    assert torch.equal(end(True), end(False))
