import pytest
import torch

from mmdiffseg.diffusion import (
    CosineBetas,
    CosineLogSNR,
    DDIMSampler,
    DPMSolverMultistepSampler,
    Draws,
    LinearBetas,
    LinearInterpolant,
    UniPCSampler,
)

SAMPLERS = [DPMSolverMultistepSampler, UniPCSampler]
SCHEDULES = {
    'linear': LinearBetas(num_timesteps=1000),
    'cosine': CosineBetas(num_timesteps=200),
    'continuous': CosineLogSNR(),
    'flow': LinearInterpolant(),
}


def walk(sampler, predict, start, steps):
    draws = Draws({'start': start})
    return list(
        sampler.walk(predict, lambda output: output, shape=start.shape, steps=steps, draws=draws)
    )


def toy(z_t, t):
    """A denoiser that depends on everything it is given."""
    return torch.tanh(1.5 * z_t + 0.3 * torch.cos(5.0 * t / 1000)) * 0.8, None


@pytest.mark.parametrize('steps', [1, 2, 3, 10, 20])
@pytest.mark.parametrize('spacing', ['trailing', 'leading'])
@pytest.mark.parametrize('sampler', SAMPLERS)
@pytest.mark.parametrize('name', ['linear', 'cosine'])
def test_chains_equal_those_of_diffusers(name, sampler, spacing, steps):
    schedulers = pytest.importorskip('diffusers.schedulers')
    schedule = SCHEDULES[name]
    options = dict(
        num_train_timesteps=schedule.num_timesteps,
        trained_betas=schedule.betas.numpy(),
        timestep_spacing='trailing',
        prediction_type='sample',
        final_sigmas_type='zero',
    )
    if sampler is UniPCSampler:
        scheduler = schedulers.UniPCMultistepScheduler(**options)
    else:
        scheduler = schedulers.DPMSolverMultistepScheduler(**options)
    ours = sampler(schedule=schedule, spacing=spacing)
    times = [now for now, _ in ours.time_pairs(steps)]
    scheduler.set_timesteps(steps)
    # the grid of ours, whatever the version of diffusers makes of the spacing
    alpha, sigma = schedule.alpha_sigma(torch.tensor(times))
    scheduler.timesteps = torch.tensor(times)
    scheduler.sigmas = torch.cat([sigma / alpha, torch.zeros(1)]).double()

    start = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    seen, z_t = walk(ours, toy, start, steps), start
    for step in seen:
        torch.testing.assert_close(step.z_t, z_t, rtol=1e-5, atol=1e-6)
        output, _ = toy(z_t, torch.tensor([step.t]))
        z_t = scheduler.step(output, step.t, z_t).prev_sample
    torch.testing.assert_close(seen[-1].x0, z_t, rtol=1e-5, atol=1e-6)


def error(sampler, steps, spread=0.3):
    """How far from the exact flow of normal pixels a chain is at the time of its last step."""
    schedule = sampler.schedule

    def scale(t):
        alpha, sigma = schedule.alpha_sigma(torch.tensor(t).double())
        return (alpha**2 * spread**2 + sigma**2).sqrt()

    def exact(z_t, t):
        alpha, sigma = schedule.alpha_sigma(t.double())
        return alpha * spread**2 / (alpha**2 * spread**2 + sigma**2) * z_t, None

    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    first, *_, last = walk(sampler, exact, start, steps)
    return abs(last.z_t.item() - (scale(last.t) / scale(first.t)).item())


@pytest.mark.parametrize('schedule', ['continuous', 'flow'])
@pytest.mark.parametrize(
    'sampler, order', [(DDIMSampler, 1), (DPMSolverMultistepSampler, 2), (UniPCSampler, 3)]
)
def test_order_of_convergence(sampler, order, schedule):
    sampler = sampler(schedule=SCHEDULES[schedule], spacing='uniform', t_min=0.2, t_max=0.8)
    coarse, fine = error(sampler, 33), error(sampler, 65)
    assert coarse / fine > 2 ** (order - 0.6)


def test_the_corrector_helps():
    options = dict(schedule=SCHEDULES['continuous'], spacing='uniform', t_min=0.2, t_max=0.8)
    assert error(UniPCSampler(**options), 17) < 0.5 * error(
        DPMSolverMultistepSampler(**options), 17
    )


@pytest.mark.parametrize('sampler', SAMPLERS)
@pytest.mark.parametrize('schedule', SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize('steps', [1, 2, 5])
def test_chains_over_the_whole_range_are_finite(sampler, schedule, steps):
    """From the noisy end, where the log-SNR of the flow is -inf, to the clean one."""
    seen = walk(sampler(schedule=schedule), toy, torch.randn(2, 1, 4, 4), steps)
    assert len(seen) == steps
    assert all(step.z_t.isfinite().all() and step.z_t.dtype == torch.float32 for step in seen)


@pytest.mark.parametrize('sampler', SAMPLERS)
def test_gaps_between_steps_are_refused(sampler):
    with pytest.raises(ValueError, match='leave out time_difference=1'):
        sampler(schedule=SCHEDULES['continuous'], time_difference=1)
