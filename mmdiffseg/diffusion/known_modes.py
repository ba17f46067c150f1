"""The perfect denoiser, for a distribution of label maps that is known exactly."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.corruption import GaussianSchedule
from mmdiffseg.diffusion.label_encoders import LabelEncoder

#: least probability, for maps that a kernel cannot make
TINY = 1e-30


class KnownModes:
    """What an ideal network would say of a noisy map, by Bayes' rule over all clean maps.

    Chains that ask it err by nothing but their number of steps.

    Args:
        modes: All clean label maps (M, h, w).
        weights: Their probabilities (M,).
        schedule: The noise.
        label_encoder: How labels are encoded; None for categorical diffusion.

    Example:
        >>> known = KnownModes(modes, weights, schedule=diffusion)
        >>> chain = sampler.walk(known.predict, known.encode, shape=shape, steps=32, draws=draws)
    """

    def __init__(
        self,
        modes: Tensor,
        weights: Tensor,
        *,
        schedule: CategoricalDiffusion | GaussianSchedule,
        label_encoder: LabelEncoder | None = None,
    ) -> None:
        if len(modes) != len(weights):
            raise ValueError(f'{len(modes)} modes meet {len(weights)} weights: give one for each')
        self.modes = modes
        self.log_weights = weights.double().clamp(min=TINY).log()
        self.schedule = schedule
        self.label_encoder = label_encoder
        self.categorical = isinstance(schedule, CategoricalDiffusion)
        # (M, C, h, w): one-hot, or codes
        if self.categorical:
            self.codes = torch.nn.functional.one_hot(modes.long(), schedule.num_classes)
            self.codes = self.codes.permute(0, 3, 1, 2).double()
        else:
            self.codes = label_encoder.encode(modes.long()).double()

    def posterior(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Probability (B, M), float64, of every clean map behind a noisy one.

        Args:
            z_t: Noisy maps (B, C, h, w); of categorical diffusion one-hot.
            t: Their common time (1,).
        """
        z_t = z_t.double()
        if self.categorical:
            kernel = self.schedule.marginal(self.modes, t).double().clamp(min=TINY).log()
            fit = z_t.flatten(1) @ kernel.flatten(1).T
        else:
            alpha, sigma = (part.double() for part in self.schedule.alpha_sigma(t))
            distance = torch.cdist(z_t.flatten(1), alpha * self.codes.flatten(1)).square()
            fit = -distance / (2 * sigma.square().clamp(min=TINY))
        return (fit + self.log_weights).softmax(dim=1)

    def predict(self, z_t: Tensor, t: Tensor) -> tuple[Tensor, None]:
        """The expected clean map (B, C, h, w): class probabilities, or codes."""
        expected = self.posterior(z_t, t) @ self.codes.flatten(1)
        return expected.view(len(z_t), *self.codes.shape[1:]).float(), None

    @staticmethod
    def encode(output: Tensor) -> Tensor:
        """What :meth:`predict` says is the estimate of x0 itself."""
        return output

    def labels(self, x0: Tensor) -> Tensor:
        """The labels (B, h, w) that the end of a chain stands for."""
        return (self.schedule if self.categorical else self.label_encoder).decode(x0)
