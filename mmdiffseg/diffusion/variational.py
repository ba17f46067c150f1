"""Variational bound for networks that learn the variance of their steps.

Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models (2021), section 3.1.
"""

import math

import torch
from torch import Tensor

from mmdiffseg.diffusion.corruption import per_sample
from mmdiffseg.diffusion.discrete import DiscreteSchedule, table_at


def learned_log_variance(schedule: DiscreteSchedule, t: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate the log variance between posterior (fraction 0) and beta_t (fraction 1), eq. 15.

    Args:
        schedule: The noise schedule.
        t: Integer times (B,).
        fraction: Output of the network (B, C, h, w); mostly in [0, 1], but not clamped.

    Returns:
        Log variance, shape of ``fraction``.
    """
    small = table_at(schedule.posterior_log_variance_clipped.float(), t)
    large = table_at(schedule.betas.log().float(), t)
    return per_sample(large, fraction) * fraction + per_sample(small, fraction) * (1 - fraction)


def variational_bound(
    schedule: DiscreteSchedule,
    x0: Tensor,
    z_t: Tensor,
    t: Tensor,
    x0_estimate: Tensor,
    log_variance: Tensor,
) -> Tensor:
    """Compute one term of the bound for every element, in bits.

    For t > 0 this is L_{t-1} of the paper, KL(true posterior || step of the model); for t = 0 it is
    L_0, the negative log likelihood of x0, taken as one of 256 levels in [-1, 1].

    Args:
        schedule: The noise schedule.
        x0: Clean map (B, C, h, w) in [-1, 1].
        z_t: Noisy map, same shape.
        t: Integer times (B,).
        x0_estimate: Estimate of the clean map by the network, same shape.
        log_variance: Log variance of the step of the model, same shape.

    Returns:
        Shape of ``x0``; the authors average it over channels and pixels.
    """
    coef1 = per_sample(table_at(schedule.posterior_mean_coef1.float(), t), x0)
    coef2 = per_sample(table_at(schedule.posterior_mean_coef2.float(), t), x0)
    true_mean = coef1 * x0 + coef2 * z_t
    mean = coef1 * x0_estimate + coef2 * z_t
    true_log_variance = per_sample(table_at(schedule.posterior_log_variance_clipped.float(), t), x0)

    divergence = normal_kl(true_mean, true_log_variance, mean, log_variance)
    likelihood = discretized_log_likelihood(x0, mean, 0.5 * log_variance)
    nats = torch.where(per_sample(t == 0, x0), -likelihood, divergence)
    return nats / math.log(2)


def normal_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """Compute KL(N1 || N2) of two normal distributions for every element, in nats."""
    ratio = log_variance1 - log_variance2
    distance = (mean1 - mean2).square() * (-log_variance2).exp()
    return 0.5 * (ratio.exp() + distance - 1 - ratio)


def discretized_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log probability that a normal variable, rounded to 256 levels in [-1, 1], equals x.

    The lowest and the highest level include the tails. The normal distribution function is
    approximated by tanh, as in the authors' code.

    Args:
        x: Values in [-1, 1].
        mean: Mean of the normal distribution, same shape.
        log_scale: Logarithm of its standard deviation, same shape.

    Returns:
        Same shape, in nats.
    """

    def below(edge: Tensor) -> Tensor:
        u = (edge - mean) * (-log_scale).exp()
        return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))

    upper, lower = below(x + 1 / 255), below(x - 1 / 255)
    inner = torch.where(x > 0.999, 1 - lower, upper - lower)
    return torch.where(x < -0.999, upper, inner).clamp(min=1e-12).log()
