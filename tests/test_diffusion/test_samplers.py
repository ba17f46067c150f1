import pytest
import torch

from mmdiffseg.diffusion import (
    CosineLogSNR,
    DDIMSampler,
    DDPMSampler,
    DiscreteSchedule,
    LinearBetas,
    Prediction,
    ddim_step,
    ddpm_step,
    sample_generator,
)
from mmdiffseg.diffusion.samplers import Coefficients
from mmdiffseg.registry import SAMPLERS

SCHEDULE = CosineLogSNR()


def coefficients(t):
    t64 = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha_sigma(t64)
    return Coefficients(t, alpha, sigma, SCHEDULE.log_snr(t64))


def towards(x0):
    return lambda z_t, t: Prediction(x0, x0)


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
def test_every_step_is_reported_and_the_last_prediction_returned(steps):
    seen = []

    def predict(z_t, t):
        assert t.shape == (1,)
        return Prediction(z_t * 0.5, z_t + len(seen))

    sampler = DDIMSampler(schedule=dict(type='CosineLogSNR'), time_difference=1)
    last = sampler.sample(predict, torch.randn(2, 3, 4, 4), steps, callback=seen.append)
    assert [step.index for step in seen] == list(range(steps))
    assert [step.t for step in seen] == pytest.approx([1 - k / steps for k in range(steps)])
    assert last.logits is seen[-1].logits


def test_a_callback_may_end_the_chain():
    seen = []

    def stop_after_two(step):
        seen.append(step)
        return step.index == 1

    DDIMSampler(schedule=SCHEDULE).sample(
        towards(torch.zeros(1, 1, 2, 2)), torch.randn(1, 1, 2, 2), 10, callback=stop_after_two
    )
    assert len(seen) == 2


def test_ddim_loop_by_hand():
    noise, x0 = torch.randn(2, 1, 2, 3, 3)
    seen = []
    sampler = DDIMSampler(schedule=SCHEDULE, time_difference=1)
    sampler.sample(towards(x0), noise, 3, callback=seen.append)
    z = noise.double()
    for (now, then), step in zip([(1, 1 / 3), (2 / 3, 0), (1 / 3, 0)], seen, strict=True):
        torch.testing.assert_close(step.z_t.double(), z, rtol=1e-4, atol=1e-5)
        (a, s), (an, sn) = (SCHEDULE.alpha_sigma(torch.tensor(float(t))) for t in (now, then))
        z = an * x0 + sn * (z - a * x0) / s


@pytest.mark.parametrize('sampler', [DDPMSampler, DDIMSampler])
def test_stochastic_chains_replay_and_do_not_depend_on_the_batch(sampler):
    options = dict(eta=0.7) if sampler is DDIMSampler else {}
    sampler = sampler(schedule=SCHEDULE, **options)
    noise = torch.randn(3, 2, 4, 4)

    def run(rows):
        generators = [sample_generator(0, str(row)) for row in rows]
        chain = []
        sampler.sample(
            lambda z_t, t: Prediction(z_t * 0.9, z_t),
            noise[rows],
            5,
            generator=generators,
            callback=lambda step: chain.append(step.z_t),
        )
        return chain[-1]

    together = run([0, 1, 2])
    torch.testing.assert_close(run([0, 1, 2]), together, rtol=0, atol=0)
    torch.testing.assert_close(run([2, 0]), together[[2, 0]], rtol=0, atol=0)


def test_ancestral_chain_adds_noise_until_the_clean_time():
    sampler = DDPMSampler(schedule=SCHEDULE)
    x0 = torch.zeros(1, 1, 64, 64)
    seen = []
    sampler.sample(towards(x0), torch.randn(1, 1, 64, 64), 4, callback=seen.append)
    for step in seen[1:]:
        sigma = SCHEDULE.alpha_sigma(torch.tensor(step.t))[1].item()
        assert step.z_t.std().item() == pytest.approx(sigma, rel=0.05)


def test_eta_is_checked():
    with pytest.raises(ValueError, match=r'eta must lie in \[0, 1\], got 2'):
        SAMPLERS.build(dict(type='DDIMSampler', schedule=SCHEDULE, eta=2))


def test_one_generator_per_sample_or_one_for_all():
    sampler = DDPMSampler(schedule=SCHEDULE)
    with pytest.raises(ValueError, match='1 generators for a batch of 2'):
        sampler.sample(
            towards(torch.zeros(2, 1, 2, 2)),
            torch.randn(2, 1, 2, 2),
            2,
            generator=[torch.Generator()],
        )


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
    seen = []
    x0 = torch.randn(1, 2, 3, 3)
    sampler.sample(towards(x0), torch.randn(1, 2, 3, 3), 50, callback=seen.append)
    assert [step.t for step in seen] == list(range(49, -1, -1))
    (now, then) = sampler.coefficients([0, -1])
    last = seen[-1].z_t
    torch.testing.assert_close(sampler.step(last, Prediction(x0, x0), now, then, None), x0)


def test_only_the_last_step_of_a_discrete_chain_adds_no_noise():
    sampler = DDPMSampler(schedule=LinearBetas(num_timesteps=100))
    zeros = torch.zeros(1, 1, 64, 64)
    prediction = Prediction(zeros, zeros)
    second, first, clean = sampler.coefficients([1, 0, -1])
    noise = torch.randn(1, 1, 64, 64)
    assert sampler.step(zeros, prediction, second, first, noise).std() > 0
    assert sampler.step(zeros, prediction, first, clean, noise).std() == 0


def test_a_continuous_chain_adds_no_noise_on_its_way_to_the_clean_time():
    # with the time difference, the last but one step of three already ends there
    sampler = DDPMSampler(schedule=SCHEDULE, time_difference=1)
    x0, seen = torch.zeros(1, 1, 8, 8), []
    chains = []
    for seed in (0, 1):
        seen = []
        sampler.sample(
            towards(x0),
            torch.ones(1, 1, 8, 8),
            3,
            step_noise=[x0, torch.full_like(x0, seed)],
            callback=seen.append,
        )
        chains.append(seen[-1].z_t)
    assert torch.equal(*chains)


@pytest.mark.parametrize('variance', ['fixed_small', 'fixed_large', 'learned_range'])
def test_variances_of_an_ancestral_step_are_the_tables(variance):
    schedule = LinearBetas(num_timesteps=100)
    sampler = DDPMSampler(schedule=schedule, variance=variance)
    zeros, ones = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.ones(1, 1, 1, 1)
    prediction = Prediction(zeros, zeros, 0.25 * ones)
    now, then = sampler.coefficients([50, 49])
    large, small = schedule.betas[50], schedule.posterior_variance[50]
    expected = {
        'fixed_small': small,
        'fixed_large': large,
        'learned_range': large**0.25 * small**0.75,
    }
    step = sampler.step(zeros, prediction, now, then, ones)
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
    step = ddpm_step(z_t, x0, now, then, noise=noise, variance='fixed_large')
    torch.testing.assert_close(step, expected)


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match="got 'large'"):
        DDPMSampler(schedule=SCHEDULE, variance='large')
