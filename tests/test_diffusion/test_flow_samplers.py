from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion import (
    CosineLogSNR,
    DDIMSampler,
    DDPMSampler,
    Draws,
    EulerSampler,
    HeunSampler,
    LinearInterpolant,
)

RECORDED = torch.load(Path(__file__).parents[1] / 'data/flow.pt')
FLOW = LinearInterpolant()


def walk(sampler, predict, start, steps):
    draws = Draws({'start': start})
    return list(
        sampler.walk(predict, lambda output: output, shape=start.shape, steps=steps, draws=draws)
    )


def recorded_network(z_t, t):
    """x0 by the velocity of the recorded network, whose time runs the other way."""
    weight, bias, tau = RECORDED['weight'].double(), RECORDED['bias'].double(), 1 - t.item()
    drift = F.conv2d(z_t, weight, bias, padding=1).tanh() * (1.5 - tau) + 0.3 * tau * z_t
    return FLOW.velocity_to_x0(-drift, z_t, t.double()), None


def gaussian(z_t, t, spread=0.5):
    """The exact denoiser of maps whose pixels are normal with this standard deviation."""
    alpha, sigma = FLOW.alpha_sigma(t.double())
    return alpha * spread**2 / (alpha**2 * spread**2 + sigma**2) * z_t, None


def error(sampler, steps, spread=0.5):
    """How far from the exact solution of the flow a chain is at the time of its last step."""
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    *_, last = walk(sampler, gaussian, start, steps)
    scales = [
        (a**2 * spread**2 + s**2).sqrt()
        for a, s in (FLOW.alpha_sigma(torch.tensor(t).double()) for t in (last.t, 1.0))
    ]
    return abs(last.z_t.item() - (scales[0] / scales[1]).item())


def test_euler_takes_the_recorded_steps():
    seen = walk(EulerSampler(schedule=FLOW), recorded_network, RECORDED['z0'].double(), 4)
    expected = [RECORDED['z0'].double(), *RECORDED['torchdiffeq_euler']]
    for step, z_t in zip(seen, expected, strict=False):
        torch.testing.assert_close(step.z_t, z_t, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[-1].x0, expected[-1], rtol=0, atol=1e-6)


def test_heun_takes_the_recorded_steps():
    seen = walk(HeunSampler(schedule=FLOW), recorded_network, RECORDED['z0'].double(), 7)
    first_looks = [step.z_t for step in seen[2::2]]
    for z_t, expected in zip(first_looks, RECORDED['torchdiffeq_heun2'][:3], strict=True):
        torch.testing.assert_close(z_t, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('shift', [1.0, 3.0])
def test_euler_is_ddim_without_noise(shift):
    flow = LinearInterpolant(shift=shift)
    start = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    ours = walk(EulerSampler(schedule=flow), gaussian, start, 5)
    theirs = walk(DDIMSampler(schedule=flow), gaussian, start, 5)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.t == other.t
        torch.testing.assert_close(mine.z_t, other.z_t, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('sampler, order', [(EulerSampler, 1), (HeunSampler, 2)])
def test_order_of_convergence(sampler, order):
    sampler = sampler(schedule=FLOW, spacing='uniform', t_min=0.125)
    # 17 and 33 looks of Heun's are 9 and 17 intervals, one of which is not walked
    coarse, fine = error(sampler, 17), error(sampler, 33)
    assert coarse / fine == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize('steps', [1, 2, 3, 4, 7, 8])
def test_heun_counts_the_calls_of_the_denoiser(steps):
    sampler = HeunSampler(schedule=FLOW)
    seen = walk(sampler, gaussian, torch.ones(1, 1, 2, 2), steps)
    assert [step.index for step in seen] == list(range(steps))
    times = [step.t for step in seen]
    grid = [now for now, _ in FLOW.time_pairs(steps // 2 + 1)]
    assert sorted(set(times), reverse=True) == grid
    looks = [times.count(t) for t in grid]
    twice = [2] * (len(grid) - 1)
    assert looks == [1, *twice] if steps % 2 else looks == [1, *([1, *twice][: len(grid) - 1])]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match='steps must be at least 1, got 0'):
        HeunSampler(schedule=FLOW).time_pairs(0)
    with pytest.raises(ValueError, match='leave out time_difference=1'):
        HeunSampler(schedule=FLOW, time_difference=1)
    with pytest.raises(TypeError, match='EulerSampler follows a LinearInterpolant'):
        EulerSampler(schedule=CosineLogSNR())


def test_ancestral_steps_need_a_signal_at_the_start():
    with pytest.raises(ValueError, match='LinearInterpolant has none at t=1: set t_max=0.999'):
        DDPMSampler(schedule=FLOW)
    seen = walk(DDPMSampler(schedule=FLOW, t_max=0.999), gaussian, torch.ones(1, 1, 2, 2), 1)
    assert seen[0].t == 0.999
    with torch.device('meta'):  # as large models are built
        DDPMSampler(schedule=CosineLogSNR())
