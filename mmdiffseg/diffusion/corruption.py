"""The forward process, and what a network may be asked to predict about it: x0, eps or v."""

from torch import Tensor

PREDICTION_TYPES = ('x0', 'eps', 'v')


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


def _check_prediction_type(prediction_type: str) -> None:
    if prediction_type not in PREDICTION_TYPES:
        raise ValueError(
            f'prediction_type must be one of {PREDICTION_TYPES}, got {prediction_type!r}'
        )


def prediction_target(
    x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, prediction_type: str
) -> Tensor:
    """What the network should output for z_t: x0, eps, or v = alpha eps - sigma x0."""
    _check_prediction_type(prediction_type)
    if prediction_type == 'x0':
        return x0
    if prediction_type == 'eps':
        return noise
    return per_sample(alpha, x0) * noise - per_sample(sigma, x0) * x0


def to_x0(
    output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor, prediction_type: str
) -> Tensor:
    """Turn a network's output of the given type into its estimate of x0.

    Args:
        output: Network output (B, C, h, w).
        z_t: The noisy map it was given, same shape.
        alpha: Signal coefficient (B,), not 0 for ``eps``.
        sigma: Noise coefficient (B,).
        prediction_type: ``x0``, ``eps`` or ``v``.

    Returns:
        Shape and dtype of ``z_t``.
    """
    _check_prediction_type(prediction_type)
    if prediction_type == 'x0':
        return output
    if prediction_type == 'eps':
        # both divided first, in the schedule's precision: 1 / alpha reaches hundreds
        scale, noise_scale = (1 / alpha).to(z_t), (sigma / alpha).to(z_t)
        return per_sample(scale, z_t) * z_t - per_sample(noise_scale, z_t) * output
    return per_sample(alpha.to(z_t), z_t) * z_t - per_sample(sigma.to(z_t), z_t) * output
