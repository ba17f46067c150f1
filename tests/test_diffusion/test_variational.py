import math

import torch
from torch.distributions import Normal, kl_divergence

from mmdiffseg.diffusion import LinearBetas, learned_log_variance, variational_bound
from mmdiffseg.diffusion.variational import discretized_log_likelihood, normal_kl


def test_the_divergence_is_that_of_torch():
    mean1, mean2, log_scale1, log_scale2 = torch.randn(4, 100, dtype=torch.float64)
    expected = kl_divergence(Normal(mean1, log_scale1.exp()), Normal(mean2, log_scale2.exp()))
    torch.testing.assert_close(normal_kl(mean1, 2 * log_scale1, mean2, 2 * log_scale2), expected)


def test_the_probabilities_of_all_levels_sum_to_one():
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)
    mean, log_scale = torch.tensor([[0.3], [-1.2]]), torch.tensor([[-2.0], [-0.5]])
    probs = discretized_log_likelihood(levels.expand(2, -1), mean, log_scale).exp()
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(2, dtype=torch.float64))
    # and each is near the exact one
    exact = Normal(mean, log_scale.exp())
    inner = exact.cdf(levels[1:-1] + 1 / 255) - exact.cdf(levels[1:-1] - 1 / 255)
    torch.testing.assert_close(probs[:, 1:-1], inner.double(), rtol=0, atol=1e-4)


def test_the_learned_variance_lies_between_its_ends():
    schedule = LinearBetas(num_timesteps=100)
    t = torch.tensor([1, 50])
    ends = [learned_log_variance(schedule, t, torch.full((2, 1, 1, 1), f)) for f in (0.0, 1.0)]
    torch.testing.assert_close(
        ends[0].flatten().exp(), schedule.posterior_variance[t].float(), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(
        ends[1].flatten().exp(), schedule.betas[t].float(), rtol=1e-5, atol=0
    )


def test_a_perfect_model_pays_nothing_but_at_the_last_step():
    schedule = LinearBetas(num_timesteps=100)
    x0, z_t = torch.randn(2, 2, 1, 4, 4).clamp(-1, 1)
    t = torch.tensor([60, 0])
    log_variance = learned_log_variance(schedule, t, torch.zeros(2, 1, 4, 4))
    bits = variational_bound(schedule, x0, z_t, t, x0, log_variance)
    torch.testing.assert_close(bits[0], torch.zeros(1, 4, 4))
    assert (bits[1] > 0).all()
    # off by one standard deviation: half a nat
    coef1 = schedule.posterior_mean_coef1[60].float()
    shifted = x0 + (0.5 * log_variance).exp() / coef1
    bits = variational_bound(schedule, x0, z_t, t, shifted, log_variance)
    torch.testing.assert_close(bits[0], torch.full((1, 4, 4), 0.5 / math.log(2)), rtol=1e-3, atol=0)
