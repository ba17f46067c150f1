import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion import LinearInterpolant, corrupt
from mmdiffseg.registry import NOISE_SCHEDULES

RECORDED = torch.load(Path(__file__).parents[1] / 'data/flow.pt')


@pytest.mark.parametrize('sigma_min', [0.0, 0.05])
def test_path_and_velocity_equal_the_recorded_ones(sigma_min):
    flow, recorded = LinearInterpolant(sigma_min=sigma_min), RECORDED[f'ot_sigma{sigma_min}']
    x0, noise, t = RECORDED['z1'], RECORDED['z0'], 1 - recorded['t']  # time runs the other way
    z_t = corrupt(x0, noise, *flow.alpha_sigma(t))
    torch.testing.assert_close(z_t, recorded['x_t'])
    torch.testing.assert_close(flow.velocity(x0, noise), -recorded['velocity'])


@pytest.mark.parametrize('sigma_min', [0.0, 0.05])
def test_velocity_is_the_derivative_of_the_path_and_tells_both_ends(sigma_min):
    flow = LinearInterpolant(sigma_min=sigma_min)
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 2, 3, 4, 5, generator=generator).double()
    t = torch.tensor([0.3, 0.9]).double()
    z_t = corrupt(x0, noise, *flow.alpha_sigma(t))
    velocity = flow.velocity(x0, noise)
    ahead = corrupt(x0, noise, *flow.alpha_sigma(t + 1e-3))
    torch.testing.assert_close((ahead - z_t) / 1e-3, velocity)
    torch.testing.assert_close(flow.velocity_to_x0(velocity, z_t, t), x0)
    torch.testing.assert_close(flow.velocity_to_eps(velocity, z_t, t), noise)
    torch.testing.assert_close(flow.x0_to_velocity(x0, z_t, t), velocity)
    torch.testing.assert_close(flow.eps_to_velocity(noise, z_t, t), velocity)


def test_euler_is_denoising_and_adding_noise_again():
    """On the recorded network: an Euler step, and DDIM's on the estimates of both ends."""
    flow, z = LinearInterpolant(), RECORDED['z0'].double()
    weight, bias = RECORDED['weight'].double(), RECORDED['bias'].double()
    for (now, then), expected in zip(
        flow.time_pairs(4), RECORDED['torchdiffeq_euler'], strict=True
    ):
        t = torch.full((len(z),), now).double()
        tau = 1 - now
        drift = F.conv2d(z, weight, bias, padding=1).tanh() * (1.5 - tau) + 0.3 * tau * z
        x0 = flow.velocity_to_x0(-drift, z, t)
        noise = flow.velocity_to_eps(-drift, z, t)
        z = corrupt(x0, noise, *flow.alpha_sigma(torch.full_like(t, then)))
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-7)


def test_ends_of_the_schedule():
    flow = LinearInterpolant()
    alpha, sigma = flow.alpha_sigma(torch.tensor([0.0, 0.25, 1.0]))
    assert alpha.tolist() == [1, 0.75, 0]
    assert sigma.tolist() == [0, 0.25, 1]
    log_snr = flow.log_snr(torch.tensor([0.0, 0.25, 1.0]))
    assert log_snr.tolist() == [math.inf, pytest.approx(2 * math.log(3)), -math.inf]
    assert flow.alpha_sigma(torch.tensor([0.5]).half())[0].dtype == torch.float32


def test_estimates_at_the_ends_stay_finite():
    flow, x = LinearInterpolant(), torch.ones(2, 1, 1, 1)
    t = torch.tensor([0.0, 1.0])
    assert flow.x0_to_velocity(0 * x, x, t).flatten().tolist() == [pytest.approx(1000), 1]
    assert flow.eps_to_velocity(0 * x, x, t).flatten().tolist() == [
        -1,
        pytest.approx(-1000, rel=1e-3),
    ]


def test_training_times():
    uniform = torch.linspace(0, 1, 10_001)[1:-1].double()
    assert (LinearInterpolant().training_times(uniform) == uniform).all()
    logits = LinearInterpolant(logit_normal=(0.5, 2.0)).training_times(uniform).logit()
    assert logits.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert logits.std().item() == pytest.approx(2, abs=1e-2)
    shifted = LinearInterpolant(shift=3.0).training_times(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    assert shifted.tolist() == [0, 0.5, 0.75, 1]


def test_the_grid_of_a_chain_is_shifted():
    assert LinearInterpolant().time_pairs(2) == [(1, 0.5), (0.5, 0)]
    assert LinearInterpolant(shift=3.0).time_pairs(2) == [(1, 0.75), (0.75, 0)]


@pytest.mark.parametrize(
    'options', [dict(sigma_min=1.0), dict(shift=0.0), dict(logit_normal=(0.0, 0.0))]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match='must'):
        NOISE_SCHEDULES.build(dict(type='LinearInterpolant', **options))
