"""The forward process, and what a network may be asked to predict about it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws

PREDICTION_TYPES = ('x0', 'eps', 'v', 'velocity')


def per_sample(coefficient: Tensor, like: Tensor) -> Tensor:
    """Append singleton axes, so that a (B,) coefficient multiplies a (B, ...) tensor."""
    return coefficient.view(coefficient.shape + (1,) * (like.dim() - coefficient.dim()))


def corrupt(x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Draw z_t = alpha x0 + sigma eps.

    Args:
        x0: Clean encoded map (B, C, h, w).
        noise: Standard normal eps, shape of ``x0``.
        alpha: Signal coefficient (B,).
        sigma: Noise coefficient (B,).

    Returns:
        The noisy map, shape of ``x0``.
    """
    return per_sample(alpha, x0) * x0 + per_sample(sigma, x0) * noise


class GaussianSchedule:
    """What schedules of Gaussian noise share; categorical diffusion has the same verbs."""

    #: what a network may be asked to predict
    prediction_types = PREDICTION_TYPES

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise coefficients at times ``t``, float32 or better."""
        raise NotImplementedError

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Times (count,) to train on, from the draw ``t``."""
        raise NotImplementedError

    def draw_noise(
        self, draws: Draws, name: str, shape: Sequence[int], device: torch.device | None
    ) -> Tensor:
        """Noise for maps of a shape (B, C, h, w): standard normal."""
        return draws.normal(name, shape, device=device)

    def draw_noisy(self, x0: Tensor, t: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Corrupt clean maps for training.

        Args:
            x0: Clean encoded maps (B, C, h, w).
            t: Times (B,).
            draws: Normal ``eps`` (B, C, h, w).

        Returns:
            z_t and eps, shape of ``x0``.
        """
        eps = self.draw_noise(draws, 'eps', x0.shape, x0.device)
        alpha, sigma = self.alpha_sigma(t)
        return corrupt(x0, eps, alpha.float(), sigma.float()), eps


class Preconditioner:
    """Makes a denoiser out of a network that predicts x0, eps, v or the velocity.

    v = alpha eps - sigma x0 is for schedules that preserve the variance. The velocity eps - x0 is
    that of :class:`LinearInterpolant`, and as a prediction fits any schedule. The loss compares the
    network's output with :meth:`target`; sampling reads :meth:`estimate`.

    Args:
        prediction_type: ``x0``, ``eps``, ``v`` or ``velocity``.
        schedule: The noise schedule, if it is one of ours.

    Raises:
        ValueError: It is none of these, or does not fit the schedule.
    """

    def __init__(self, prediction_type: str, schedule: GaussianSchedule | None = None) -> None:
        if prediction_type not in PREDICTION_TYPES:
            raise ValueError(
                f'prediction_type must be one of {PREDICTION_TYPES}, got {prediction_type!r}'
            )
        if schedule is not None and prediction_type not in schedule.prediction_types:
            raise ValueError(
                f'the network of a {type(schedule).__name__} has to predict one of '
                f'{schedule.prediction_types}, got {prediction_type!r}'
            )
        self.prediction_type = prediction_type

    def target(self, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network should say of z_t; see :func:`corrupt` for the arguments."""
        if self.prediction_type == 'x0':
            return x0
        if self.prediction_type == 'eps':
            return noise
        if self.prediction_type == 'velocity':
            return noise - x0
        return per_sample(alpha.to(x0), x0) * noise - per_sample(sigma.to(x0), x0) * x0

    def estimate(self, output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Turn what the network says into an estimate of x0.

        Args:
            output: The network's output (B, C, h, w).
            z_t: The noisy map that it saw, same shape.
            alpha: Signal coefficient (B,), not 0 for ``eps``.
            sigma: Noise coefficient (B,).

        Returns:
            Shape and dtype of ``z_t``.
        """
        if self.prediction_type == 'x0':
            return output
        if self.prediction_type == 'eps':
            # both divided first, in the schedule's precision: 1 / alpha reaches hundreds
            scale, noise_scale = (1 / alpha).to(z_t), (sigma / alpha).to(z_t)
            return per_sample(scale, z_t) * z_t - per_sample(noise_scale, z_t) * output
        if self.prediction_type == 'velocity':
            # z_t - sigma (eps - x0) = (alpha + sigma) x0, and alpha + sigma is 1 on the flow
            x0 = z_t - per_sample(sigma.to(z_t), z_t) * output
            return x0 / per_sample((alpha + sigma).to(z_t), z_t)
        return per_sample(alpha.to(z_t), z_t) * z_t - per_sample(sigma.to(z_t), z_t) * output
