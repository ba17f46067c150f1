import pytest
import torch

from mmdiffseg.diffusion import LinearInterpolant, Preconditioner, corrupt


@pytest.mark.parametrize('prediction_type', ['x0', 'eps', 'v', 'velocity'])
def test_the_target_of_each_type_leads_back_to_x0(prediction_type):
    x0, noise = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    alpha = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64)
    sigma = (1 - alpha**2).sqrt()
    z_t = corrupt(x0, noise, alpha, sigma)
    torch.testing.assert_close(z_t[1], 0.2 * x0[1] + sigma[1] * noise[1])
    network = Preconditioner(prediction_type)
    target = network.target(x0, noise, alpha, sigma)
    expected = {
        'x0': x0[1],
        'eps': noise[1],
        'v': 0.2 * noise[1] - sigma[1] * x0[1],
        'velocity': noise[1] - x0[1],
    }
    torch.testing.assert_close(target[1], expected[prediction_type])
    torch.testing.assert_close(network.estimate(target, z_t, alpha, sigma), x0)


def test_the_velocity_is_that_of_the_flow():
    flow, t = LinearInterpolant(), torch.tensor([0.2, 0.7, 1.0])
    x0, noise, velocity = torch.randn(3, 3, 4, 5, 6)
    network, (alpha, sigma) = Preconditioner('velocity'), flow.alpha_sigma(t)
    assert torch.equal(network.target(x0, noise, alpha, sigma), flow.velocity(x0, noise))
    z_t = corrupt(x0, noise, alpha, sigma)
    found = network.estimate(velocity, z_t, alpha, sigma)
    torch.testing.assert_close(found, flow.velocity_to_x0(velocity, z_t, t))


@pytest.mark.parametrize('prediction_type', ['eps', 'v', 'velocity'])
def test_one_time_serves_the_whole_batch(prediction_type):
    output, z_t = torch.randn(2, 3, 4, 5, 6)
    alpha, sigma = torch.tensor([0.6]), torch.tensor([0.8])
    network = Preconditioner(prediction_type)
    one = network.estimate(output, z_t, alpha, sigma)
    assert torch.equal(one, network.estimate(output, z_t, alpha.repeat(3), sigma.repeat(3)))


def test_the_schedule_keeps_its_precision_and_the_maps_theirs():
    # 1 / alpha of a clean map is rounded once, after the division in float64
    alpha, sigma = torch.tensor([1 / 300], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    z_t, output = torch.full((1, 1), 0.7), torch.full((1, 1), 0.1)
    x0 = Preconditioner('eps').estimate(output, z_t, alpha, sigma)
    assert x0.dtype == torch.float32
    assert x0.item() == pytest.approx(300 * (0.7 - 0.1), rel=1e-6)
    for kind in ('eps', 'v', 'velocity', 'x0'):
        assert Preconditioner(kind).target(z_t, output, alpha, sigma).dtype == torch.float32


def test_unknown_types_are_refused():
    with pytest.raises(ValueError, match="got 'score'"):
        Preconditioner('score')
