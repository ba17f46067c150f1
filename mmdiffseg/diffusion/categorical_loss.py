"""Losses of categorical diffusion, on probabilities of the clean map."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import CategoricalDiffusion

KINDS = ('kl', 'ce', 'kl+ce')
REDUCTIONS = ('sum', 'mean')
SMALLEST = 1e-12  # what a probability is raised to before its logarithm, as in CCDM


def categorical_kl(
    diffusion: CategoricalDiffusion, z_t: Tensor, labels: Tensor, x0: Tensor, t: Tensor
) -> Tensor:
    """KL divergence of the step from t to t - 1: the true posterior against the predicted one.

    At t = 0 it is the cross-entropy -log x0[label] (DDPM's L_0).

    Args:
        diffusion: The kernel.
        z_t: States (B, h, w) that the network was given.
        labels: Clean labels (B, h, w).
        x0: Predicted probabilities of the clean map (B, K, h, w).
        t: Time (B,), 0 .. T - 1.

    Returns:
        Nats (B, h, w).
    """
    s = t - 1
    clean = diffusion.one_hot(labels).to(x0.dtype)
    true = diffusion.all_states(diffusion.posterior(z_t, clean, t, s))
    predicted = diffusion.all_states(diffusion.posterior(z_t, x0, t, s)).clamp(min=SMALLEST)
    return (torch.xlogy(true, true) - true * predicted.log()).sum(dim=1)


def categorical_cross_entropy(
    diffusion: CategoricalDiffusion, labels: Tensor, x0: Tensor
) -> Tensor:
    """-log x0[label] in nats (B, h, w); arguments as in :func:`categorical_kl`."""
    known = labels.masked_fill(labels == diffusion.ignore_index, 0).long()
    probs = diffusion.all_states(x0).clamp(min=SMALLEST)
    return -probs.log().gather(1, known[:, None])[:, 0]


def categorical_loss(
    diffusion: CategoricalDiffusion,
    z_t: Tensor,
    labels: Tensor,
    x0: Tensor,
    t: Tensor,
    *,
    kind: str = 'kl',
    ce_weight: float = 1.0,
    class_weight: Tensor | None = None,
    reduction: str = 'sum',
) -> Tensor:
    """The training loss; ignored pixels do not count.

    Args:
        diffusion: The kernel.
        z_t: States (B, h, w) that the network was given.
        labels: Clean labels (B, h, w) in [0, K) or the diffusion's ``ignore_index``.
        x0: Predicted probabilities of the clean map (B, K, h, w).
        t: Time (B,), 0 .. T - 1.
        kind: ``kl`` (CCDM), ``ce``, which has the same optimum and more weight at noisy times, or
            ``kl+ce``.
        ce_weight: Weight of the cross-entropy in ``kl+ce``.
        class_weight: Weight (K,) of the pixels of each class.
        reduction: ``sum`` over the pixels and mean over the batch (CCDM), so that it grows with the
            map; or ``mean`` over the pixels that count.

    Returns:
        Scalar.
    """
    for name, value, known in (('kind', kind, KINDS), ('reduction', reduction, REDUCTIONS)):
        if value not in known:
            raise ValueError(f'{name} must be one of {known}, got {value!r}')
    loss = torch.zeros(labels.shape, dtype=x0.dtype, device=x0.device)
    if 'kl' in kind:
        loss = loss + categorical_kl(diffusion, z_t, labels, x0, t)
    if 'ce' in kind:
        weight = ce_weight if kind == 'kl+ce' else 1.0
        loss = loss + weight * categorical_cross_entropy(diffusion, labels, x0)
    counts = labels != diffusion.ignore_index
    if class_weight is not None:
        loss = loss * class_weight.to(loss)[labels.masked_fill(~counts, 0).long()]
    loss = loss * counts
    if reduction == 'sum':
        return loss.sum() / len(labels)
    return loss.sum() / counts.sum().clamp(min=1)
