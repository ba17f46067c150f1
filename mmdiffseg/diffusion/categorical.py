"""Diffusion over label maps: pixels change their class; nothing Gaussian is added.

Notation: B batch, K classes, S states of a pixel (K, and one more for a kernel that masks), h w the
size of the map. Label maps (B, h, w) hold integers; their probabilities are (B, S, h, w). Wherever
probabilities are taken, a label map stands for its one-hot map. Times are integers 0 .. T - 1,
noisier upwards, and -1 is the clean end, as in :mod:`mmdiffseg.diffusion.discrete`. abar_t, the
share of pixels that no step has touched, is the schedule's ``alphas_cumprod``.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.discrete import DiscreteSchedule, table_at
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import NOISE_SCHEDULES

SKIPS = ('exact', 'ccdm')
PARAMETRIZATIONS = ('expected', 'soft_x0')
TRAIN_TIMES = ('uniform', 'log_snr')


class CategoricalDiffusion:
    """What all kernels share: a forward process, its exact posterior, and draws from both.

    Args:
        num_classes: Number K of classes, at least 2.
        schedule: Discrete schedule, or its config.
        ignore_index: Label of the pixels without a class. They are pure noise at every time.
        train_times: ``uniform`` over the chain (as released), or ``log_snr``: evenly in
            log(abar / (1 - abar)), for shares of signal abar from 1 / 500 to 499 / 500. Goes
            with ``spacing='log_snr'`` of the sampler.
    """

    #: where every chain ends
    clean_time = -1
    #: corrupts labels themselves, so that a head needs no label encoder
    encodes_labels = True

    def __init__(
        self,
        *,
        num_classes: int,
        schedule: DiscreteSchedule | dict,
        ignore_index: int = 255,
        train_times: str = 'uniform',
    ) -> None:
        if num_classes < 2:
            raise ValueError(
                f'num_classes={num_classes}: a label map needs at least 2, background included'
            )
        if isinstance(schedule, dict):
            schedule = NOISE_SCHEDULES.build(schedule)
        if not isinstance(schedule, DiscreteSchedule):
            raise TypeError(
                f'categorical diffusion counts its steps, {type(schedule).__name__} does not: use '
                "a discrete schedule, such as dict(type='CosineBetas', num_timesteps=250)"
            )
        if train_times not in TRAIN_TIMES:
            raise ValueError(f'train_times must be one of {TRAIN_TIMES}, got {train_times!r}')
        self.num_classes = num_classes
        self.schedule = schedule
        self.ignore_index = ignore_index
        self.train_times = train_times
        # two tables, because the two of CCDM's release disagree: the product of the steps' kernels,
        # and the marginal; both from time -1 on
        kept = (1 - schedule.betas).cumprod(0)
        self._kernel_table = F.pad(kept, (1, 0), value=1.0)
        self._marginal_table = F.pad(schedule.alphas_cumprod, (1, 0), value=1.0)

    @property
    def num_states(self) -> int:
        """Number S of states a pixel can be in."""
        return self.num_classes

    @property
    def num_timesteps(self) -> int:
        """Length T of the chain."""
        return self.schedule.num_timesteps

    def time_pairs(
        self, steps: int, *, spacing: str = 'uniform', strength: float = 1.0
    ) -> list[tuple[int, int]]:
        """See :meth:`DiscreteSchedule.time_pairs`; CCDM's is ``ccdm``."""
        return self.schedule.time_pairs(steps, spacing=spacing, strength=strength)

    def one_hot(self, labels: Tensor) -> Tensor:
        """Probabilities (B, S, h, w), float32, of labels (B, h, w); pure noise where ignored."""
        labels = labels.long()
        rows = labels.masked_fill(labels == self.ignore_index, self.num_states)
        codes = torch.cat([torch.eye(self.num_states), self.prior().float()[None]])
        one_hot = F.embedding(rows, codes.to(labels.device))  # (B, h, w, S)
        return one_hot.permute(0, 3, 1, 2)

    @property
    def channels(self) -> int:
        """Number C of channels of the map that a network sees, see :meth:`one_hot`."""
        return self.num_states

    def encode(self, labels: Tensor) -> Tensor:
        """Labels (B, h, w) as they are: categorical diffusion is its own label encoder."""
        return labels

    def encode_output(self, logits: Tensor) -> Tensor:
        """Probabilities of the clean map (B, K, h, w) that logits of this shape stand for."""
        return logits.softmax(dim=1)

    def encode_probs(self, probs: Tensor) -> Tensor:
        """The map (B, C, h, w) that a network sees of class probabilities (B, K, h, w)."""
        states = F.pad(probs, (0, 0, 0, 0, 0, self.num_states - self.num_classes))
        return states[:, -self.channels :]

    def decode(self, x0: Tensor) -> Tensor:
        """The most likely labels (B, h, w) of probabilities of the clean map."""
        return self.all_states(x0).argmax(dim=1)

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Times (count,), 0 .. T - 1, to train on, see ``train_times``.

        Args:
            count: How many.
            draws: ``t``: the times themselves (count,), or with ``log_snr`` where in [0, 1) on
                this scale they lie.
            device: Where they are needed.
        """
        if self.train_times == 'uniform':
            return self.schedule.draw_times(count, draws, device)
        depths = -torch.logit(self.schedule.alphas_cumprod).to(device)  # rising with the time
        wanted = (2 * draws.uniform('t', (count,), device=device) - 1) * math.log(499)
        return torch.searchsorted(depths, wanted.to(depths)).clamp(max=self.num_timesteps - 1)

    def draw_noise(
        self, draws: Draws, name: str, shape: Sequence[int], device: torch.device | None
    ) -> Tensor:
        """Gumbel noise (B, S, h, w) for maps of a shape (B, ..., h, w)."""
        return draws.gumbel(name, (shape[0], self.num_states, *shape[-2:]), device=device)

    def draw_noisy(self, labels: Tensor, t: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Corrupt labels for training.

        Args:
            labels: See :meth:`corrupt`.
            t: Times (B,).
            draws: Gumbel ``eps`` (B, S, h, w).

        Returns:
            The drawn state as the network sees it (B, C, h, w), and the noise.
        """
        noise = self.draw_noise(draws, 'eps', labels.shape, labels.device)
        return self.one_hot(self.corrupt(labels, t, noise)), noise

    def prior(self) -> Tensor:
        """Probabilities (S,), float64, of a pixel of pure noise."""
        raise NotImplementedError

    def transition(self, z_s: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """The forward kernel q(z_t | z_s) of a jump over any number of steps.

        Args:
            z_s: Map at the earlier time, labels or probabilities.
            s: Its time (B,) or (1,), -1 .. T - 1.
            t: The later time, same shape.

        Returns:
            Probabilities (B, S, h, w).
        """
        self._check_times(t, s)
        return self._towards_prior(self._probs(z_s), self._untouched(t, s))

    def marginal(self, x0: Tensor, t: Tensor) -> Tensor:
        """The probabilities q(z_t | x0) (B, S, h, w) of what :meth:`corrupt` draws.

        Args:
            x0: Clean map, labels or probabilities.
            t: Time (B,) or (1,), 0 .. T - 1.
        """
        return self._towards_prior(self._probs(x0), at_time(self._marginal_table, t))

    def corrupt(self, labels: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Draw z_t given clean labels.

        Args:
            labels: Labels (B, h, w) in [0, K) or ``ignore_index``.
            t: Time (B,) or (1,), 0 .. T - 1.
            noise: Gumbel noise (B, S, h, w), from :meth:`Draws.gumbel`.

        Returns:
            States (B, h, w), int64.

        Raises:
            ValueError: A label is outside the classes.
        """
        known = labels[labels != self.ignore_index]
        if ((known < 0) | (known >= self.num_classes)).any():
            raise ValueError(
                f'labels run from {known.min()} to {known.max()}, outside [0, {self.num_classes}): '
                f'correct num_classes, or set them to ignore_index={self.ignore_index}'
            )
        return self.draw(self.marginal(labels, t), noise)

    def start(self, noise: Tensor) -> Tensor:
        """Draw the pure noise (B, h, w) that chains start from; ``noise`` as in :meth:`draw`."""
        return self.draw(self.prior().to(noise)[:, None, None].expand(noise.shape), noise)

    def posterior(self, z_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The exact q(z_s | z_t, x0) of a jump from t to s, averaged over x0 where it is uncertain.

        With the one-hot map of true labels this is Bayes' rule; with a network's probabilities of
        x0 it is the reverse kernel sum_d p_d q(z_s | z_t, x0 = d).

        Args:
            z_t: Map at time t: states (B, h, w), or probabilities (B, S, h, w) where the expected
                state is carried on.
            x0: Clean map, labels or probabilities (B, K, h, w) that sum to one.
            t: Time (B,) or (1,), 0 .. T - 1.
            s: Earlier time, same shape, -1 .. t - 1.

        Returns:
            Probabilities (B, S, h, w), of the type of ``x0`` but float32 at least.
        """
        return self.reverse(z_t, x0, self.jump(t, s))

    def jump(self, t: Tensor, s: Tensor) -> Tensor:
        """What :meth:`reverse` has to know of a jump from t to s, see :meth:`posterior`.

        Returns:
            A few numbers for each sample (n, B, 1, 1, 1), float64.
        """
        raise NotImplementedError

    def reverse(self, z_t: Tensor, x0: Tensor, jump: Tensor) -> Tensor:
        """The posterior of a jump that is given by its numbers, see :meth:`posterior`.

        Args:
            z_t: Map at the noisier time.
            x0: Clean map.
            jump: From :meth:`jump`.
        """
        raise NotImplementedError

    def draw(self, probs: Tensor, noise: Tensor) -> Tensor:
        """Draw one state for every pixel: argmax(log p + g) has the probabilities p.

        Args:
            probs: Probabilities (B, S, h, w).
            noise: Gumbel noise, same shape.

        Returns:
            States (B, h, w), int64.
        """
        return (self.all_states(probs).log() + noise).argmax(dim=1)

    def all_states(self, probs: Tensor) -> Tensor:
        """The probability of every state (B, S, h, w); here what is given."""
        return probs

    def _towards_prior(self, x: Tensor, untouched: Tensor) -> Tensor:
        touched = cast_like((1 - untouched) * self.prior().to(untouched)[:, None, None], x)
        return cast_like(untouched, x) * x + touched

    def _untouched(self, t: Tensor, s: Tensor) -> Tensor:
        """Share (B, 1, 1, 1), float64, of the pixels that the steps from s to t leave alone."""
        return at_time(self._kernel_table, t) / at_time(self._kernel_table, s)

    def _probs(self, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        if not x.is_floating_point():
            return self.one_hot(x).to(dtype)
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def _check_times(self, t: Tensor, s: Tensor) -> None:
        for time in (t, s):
            if time.is_floating_point():
                raise TypeError(f'times are integers -1 .. {self.num_timesteps - 1}, got {time}')
        if not ((-1 <= s) & (s < t) & (t < self.num_timesteps)).all():
            raise ValueError(
                f'a jump goes from t={t.tolist()} to an earlier s={s.tolist()}, both in -1 .. '
                f'{self.num_timesteps - 1}'
            )


@NOISE_SCHEDULES.register_module()
class UniformDiffusion(CategoricalDiffusion):
    """A step gives a pixel a class drawn evenly from all of them, with probability beta_t.

    CCDM's kernel (Zbinden et al., Stochastic Segmentation with Conditional Categorical Diffusion
    Models, 2023), after multinomial diffusion (Hoogeboom et al., 2021).

    Args:
        num_classes: Number K of classes, at least 2.
        schedule: Discrete schedule, or its config.
        ignore_index: Label of the pixels without a class. They are pure noise at every time.
        skip: ``exact``, or ``ccdm`` as released: a jump of several steps uses the kernel of the
            step t to t - 1, so that pixels stay far noisier than their time says.
        parametrization: What the reverse kernel makes of a network's probabilities p of x0:
            ``expected`` averages the posteriors of all classes (as released), ``soft_x0`` puts p in
            place of the one-hot x0 (multinomial diffusion; BerDiff). The second is the kernel of
            the true chain only where p is certain.
        train_times: See :class:`CategoricalDiffusion`.

    Example:
        >>> diffusion = UniformDiffusion(num_classes=2, schedule=CosineBetas(num_timesteps=250))
        >>> draws, shape = Draws(), (1, 2, 8, 8)
        >>> z = diffusion.start(draws.gumbel('start', shape))  # (1, 8, 8)
        >>> for t, s in torch.tensor(diffusion.time_pairs(25))[..., None]:
        ...     x0 = network(diffusion.one_hot(z), t)  # (1, 2, 8, 8), sums to one
        ...     z = diffusion.draw(diffusion.posterior(z, x0, t, s), draws.gumbel('step', shape))
    """

    def __init__(
        self,
        *,
        num_classes: int,
        schedule: DiscreteSchedule | dict,
        ignore_index: int = 255,
        skip: str = 'exact',
        parametrization: str = 'expected',
        train_times: str = 'uniform',
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            schedule=schedule,
            ignore_index=ignore_index,
            train_times=train_times,
        )
        if skip not in SKIPS:
            raise ValueError(f'skip must be one of {SKIPS}, got {skip!r}')
        if parametrization not in PARAMETRIZATIONS:
            raise ValueError(
                f'parametrization must be one of {PARAMETRIZATIONS}, got {parametrization!r}'
            )
        self.skip = skip
        self.parametrization = parametrization

    def prior(self) -> Tensor:
        """See :meth:`CategoricalDiffusion.prior`: every class alike."""
        return torch.full((self.num_classes,), 1 / self.num_classes, dtype=torch.float64)

    def jump(self, t: Tensor, s: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.jump`.

        The share of the pixels that the steps from s to t leave alone, the share that they move to
        one class, C = abar_s, and (1 - C) / K.
        """
        self._check_times(t, s)
        if self.skip == 'ccdm':
            s = t - 1
        untouched, known = self._untouched(t, s), at_time(self._marginal_table, s)
        touched = (1 - untouched) * self.prior()[0].to(untouched)
        return torch.stack([untouched, touched, known, (1 - known) / self.num_classes])

    def reverse(self, z_t: Tensor, x0: Tensor, jump: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.reverse`; O(K) a pixel."""
        x0 = self._probs(x0)
        like, known, unknown = self._likelihood(self._probs(z_t, x0.dtype), jump)
        if self.parametrization == 'soft_x0':
            joint = like * (known * x0 + unknown)
            return joint / joint.sum(dim=1, keepdim=True)
        # The posterior is linear in x0 after x0 is divided by the evidence of each class; that is
        # C like_d + (1 - C) / K because `like` sums to one.
        ratio = x0 / (known * like + unknown)
        return like * (known * ratio + unknown * ratio.sum(dim=1, keepdim=True))

    def _likelihood(self, z_t: Tensor, jump: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q(z_t | z_s) as a function of z_s, C, and (1 - C) / K."""
        untouched, touched, known, unknown = (cast_like(number, z_t) for number in jump)
        return untouched * z_t + touched, known, unknown


def at_time(table: Tensor, t: Tensor) -> Tensor:
    """Entries (B, 1, 1, 1) of a table that starts at time -1, float64."""
    return table_at(table, t + 1).view(-1, 1, 1, 1)


def cast_like(coefficient: Tensor, x: Tensor) -> Tensor:
    """A coefficient in the precision of a map, after the arithmetic: 1 - abar needs float64."""
    return coefficient.to(x)
