"""All randomness of one call: drawn for each sample by its name, from one generator, or given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

DEVICE = torch.device('cpu')


def noise_name(*parts: object) -> str:
    """Name of the noise of one sample: what it is drawn for, from the general to the special.

    The parts are the sample and its view, the size of the noise, and the number of the generation;
    a method leaves out what it does not have.

    Example:
        >>> noise_name('cat.jpg', None, '128x128', 0)
        'cat.jpg/None/128x128/0'
    """
    return '/'.join(map(str, parts))


def classes_at(u: Tensor, probs: Tensor) -> Tensor:
    """Classes (rows, ...) of probabilities (rows, K, ...) by inverting their cumulative sums.

    Args:
        u: Numbers in [0, 1) that broadcast to (rows, ...). If they are uniform, a class is drawn
            from its probabilities, whether or not two places share a number.
        probs: Probabilities, up to a factor.
    """
    sums = probs.cumsum(dim=1)
    # scaled by the total, which rounding leaves a little off 1
    return (u[:, None] * sums[:, -1:] >= sums[:, :-1]).sum(dim=1)


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        ValueError: It is no whole number, or below 0.
    """
    if type(seed) is not int or seed < 0:
        raise ValueError(f'seed must be a whole number from 0, got {seed!r}')


def sample_generator(seed: int, name: str) -> torch.Generator:
    """A generator on the CPU whose state depends on (seed, name) alone."""
    digest = hashlib.sha256(f'{seed}/{name}'.encode()).digest()
    # 63 bits: manual_seed refuses larger positive numbers
    return torch.Generator(DEVICE).manual_seed(int.from_bytes(digest[:8], 'little') >> 1)


class Draws:
    """Random tensors, asked for by name; every public entry that draws takes one of these.

    There are three sources:

    - ``Draws.named(names, seed=0)``: each row of the batch has a generator of its own, seeded by
      its name. A result then depends on neither batch size, nor order, workers or GPUs. These
      generators always live on the CPU, so that a CPU and a GPU start from the same noise.
    - ``Draws(generator=generator)``: one generator for all rows, on its own device; without any
      argument, torch's global one on the device that the tensor is asked for.
    - ``Draws({'start': z, 'step0': noise})``: recorded tensors, for an exact replay. With a
      generator beside them, what was not recorded is drawn; without one it is an error.

    The rows of a chain are all images once per generation, generation-major: (G B, C, h, w).

    Args:
        given: Recorded tensors by name, rows first. A list holds one tensor for each row, whose
            sizes may differ.
        generator: One generator for all rows, or one for each row.

    Example:
        >>> draws = Draws.named(['cat.jpg', 'dog.jpg'], seed=0)
        >>> draws.normal('start', (2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        given: Mapping[str, Tensor | Sequence[Tensor]] | None = None,
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> None:
        self.given = given
        self.generator = generator

    @classmethod
    def named(cls, names: Sequence[str], *, seed: int) -> Draws:
        """Give each row a generator that depends on (seed, name of the row) alone."""
        return cls(generator=[sample_generator(seed, name) for name in names])

    def select(self, rows: Sequence[int], *, of: int) -> Draws:
        """The draws of some rows; a single generator serves them in the order they ask.

        Args:
            rows: Numbers of the rows.
            of: How many rows there are.

        Raises:
            ValueError: A recorded tensor has more or fewer rows.
        """
        for name, value in (self.given or {}).items():
            if len(value) != of:
                raise ValueError(
                    f'the recorded draw {name!r} has {len(value)} rows, but the images and '
                    f'generations are {of}'
                )
        given = None
        if self.given is not None:
            given = {
                name: [value[row] for row in rows] if isinstance(value, list) else value[list(rows)]
                for name, value in self.given.items()
            }
        generator = self.generator
        if isinstance(generator, Sequence):
            generator = [generator[row] for row in rows]
        return Draws(given, generator=generator)

    def normal(
        self, name: str, shape: Sequence[int], *, device: torch.device | None = None
    ) -> Tensor:
        """Standard normal float32 numbers (rows, ...).

        Raises:
            KeyError: Only recorded tensors are there, and none has this name.
            ValueError: The recorded tensor has another shape, or there are more or fewer
                generators than rows.
        """
        return self._draw(name, shape, device, torch.randn)

    def uniform(
        self,
        name: str,
        shape: Sequence[int],
        low: float = 0.0,
        high: float = 1.0,
        *,
        device: torch.device | None = None,
    ) -> Tensor:
        """Float32 numbers (rows, ...) in [low, high); see :meth:`normal`."""

        def draw(size, *, generator=None, device=None):
            return torch.empty(size, device=device).uniform_(low, high, generator=generator)

        return self._draw(name, shape, device, draw)

    def gumbel(
        self, name: str, shape: Sequence[int], *, device: torch.device | None = None
    ) -> Tensor:
        """Standard Gumbel numbers g (rows, ...); see :meth:`normal`.

        argmax(log p + g) over the classes is a draw from the probabilities p.
        """

        def draw(size, *, generator=None, device=None):
            return -torch.empty(size, device=device).exponential_(generator=generator).log()

        return self._draw(name, shape, device, draw)

    def coins(
        self, name: str, shape: Sequence[int], *, device: torch.device | None = None
    ) -> Tensor:
        """Booleans (rows, ...), true with probability 1/2; see :meth:`normal`."""

        def draw(size, *, generator=None, device=None):
            return torch.empty(size, dtype=torch.bool, device=device).random_(generator=generator)

        return self._draw(name, shape, device, draw)

    def integers(
        self,
        name: str,
        low: int,
        high: int,
        shape: Sequence[int],
        *,
        device: torch.device | None = None,
    ) -> Tensor:
        """Integers (rows, ...) in [low, high); see :meth:`normal`."""

        def draw(size, **options):
            return torch.randint(low, high, size, **options)

        return self._draw(name, shape, device, draw)

    def categorical(self, name: str, probs: Tensor, *, common: bool = False) -> Tensor:
        """Classes (rows, ...) drawn from probabilities (rows, K, ...), see :func:`classes_at`.

        Args:
            name: Of uniform numbers, see :meth:`uniform`.
            probs: Probabilities, up to a factor.
            common: Whether all places of a row share one number (rows, 1, ...). Each still has its
                probabilities, but places with the same doubt decide alike.
        """
        rows, _, *places = probs.shape
        size = (rows, *(1 for _ in places)) if common else (rows, *places)
        return classes_at(self.uniform(name, size, device=probs.device), probs)

    def permutation(self, name: str, count: int, *, device: torch.device | None = None) -> Tensor:
        """A random order (count,) of ``count`` things, for the draws of a single row."""
        if self.given is not None and name in self.given:
            # a recorded one may have been cut off already
            return self.given[name][0].to(device)
        return self._draw(name, (1, count), device, _permute)[0]

    def _draw(self, name: str, shape: Sequence[int], device, draw) -> Tensor:
        if self.given is not None and name in self.given:
            return self._recorded(name, shape, device)
        generator = self.generator
        if generator is None:
            if self.given is not None:
                raise KeyError(
                    f'{name!r} is not among the recorded draws {sorted(self.given)}: record it, or '
                    'give a generator for what is missing'
                )
            return draw(tuple(shape), device=device)
        if isinstance(generator, torch.Generator):
            return draw(tuple(shape), generator=generator, device=generator.device).to(device)
        if len(generator) != shape[0]:
            raise ValueError(f'{len(generator)} names for {shape[0]} rows: give one for each row')
        rows = [draw(tuple(shape[1:]), generator=g, device=g.device) for g in generator]
        # a single row is not copied: a hundred masks of the size of an image are half a gigabyte
        return (torch.stack(rows) if len(rows) > 1 else rows[0][None]).to(device)

    def _recorded(self, name: str, shape: Sequence[int], device) -> Tensor:
        value = self.given[name]
        if isinstance(value, list):
            value = torch.stack(value)
        if tuple(value.shape) != tuple(shape):
            raise ValueError(
                f'the recorded draw {name!r} has the shape {tuple(value.shape)}, but '
                f'{tuple(shape)} is asked for'
            )
        return value.to(device)


def _permute(shape: Sequence[int], **options) -> Tensor:
    return torch.randperm(shape[-1], **options).expand(shape)
