"""The noise of :mod:`mmdiffseg.diffusion.draws`, number for number, without torch.

Torch's generators on a CPU are Mersenne twisters seeded by the lower 32 bits of a seed, as those of
``numpy.random.RandomState`` are. What torch makes of their words is repeated here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

#: numbers made at once, a multiple of 16: a set of masks may have a hundred million
PART = 2**20


class Twister:
    """Random numbers of one seed and name, as `sample_generator` of torch's side gives them."""

    def __init__(self, seed: int, name: str) -> None:
        digest = hashlib.sha256(f'{seed}/{name}'.encode()).digest()
        number = int.from_bytes(digest[:8], 'little') >> 1
        self.words = np.random.RandomState(number & 0xFFFFFFFF)
        self.spare: float | None = None

    def uniform(self, shape: Sequence[int]) -> np.ndarray:
        """Float32 numbers in [0, 1), of 24 random bits each."""
        words = self._words(int(np.prod(shape)))
        return ((words & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)).reshape(shape)

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """Standard normal float32 numbers, by Box and Muller's rule."""
        count = int(np.prod(shape))
        if count < 16:
            return np.array([self._one_normal() for _ in range(count)], np.float32).reshape(shape)
        numbers = np.empty(count, np.float32)
        whole = count // 16 * 16
        for first in range(0, whole, PART):
            part = numbers[first : min(first + PART, whole)]
            part[:] = _in_blocks(self.uniform(part.shape))
        if whole < count:  # the last 16 are drawn again
            self.uniform((count - whole,))
            numbers[-16:] = _in_blocks(self.uniform((16,)))
        return numbers.reshape(shape)

    def gumbel(self, shape: Sequence[int]) -> np.ndarray:
        """Standard Gumbel float32 numbers."""
        exponential = -np.log1p(-self._doubles(int(np.prod(shape)))).clip(max=-(2.0**-53))
        return -np.log(exponential.astype(np.float32)).reshape(shape)

    def _words(self, count: int) -> np.ndarray:
        return np.frombuffer(self.words.bytes(4 * count), dtype='<u4')

    def _doubles(self, count: int) -> np.ndarray:
        """Numbers in [0, 1), of 53 random bits each."""
        high, low = self._words(2 * count).reshape(count, 2).T.astype(np.uint64)
        return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)) * 2.0**-53

    def _one_normal(self) -> float:
        if self.spare is not None:
            number, self.spare = self.spare, None
            return number
        angle, length = self._doubles(2)
        radius = np.sqrt(-2 * np.log1p(-length))
        self.spare = radius * np.sin(2 * np.pi * angle)
        return radius * np.cos(2 * np.pi * angle)


def _in_blocks(numbers: np.ndarray) -> np.ndarray:
    """Normal numbers from uniform ones (16 n,): the halves of every 16 belong together."""
    lengths, angles = numbers.reshape(-1, 2, 8).swapaxes(0, 1)
    radii = np.sqrt(-2 * np.log(1 - lengths))
    angles = np.float32(2 * np.pi) * angles
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).ravel()


class Draws:
    """Random arrays asked for by name, as in :class:`mmdiffseg.diffusion.Draws`.

    Args:
        names: Name of every row, see ``noise_name`` there.
        seed: Their seed.
        given: Recorded arrays by name, rows first, instead of drawn ones.
    """

    def __init__(
        self, names: Sequence[str], *, seed: int, given: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.rows = [Twister(seed, name) for name in names]
        self.given = given or {}

    def __iter__(self) -> Iterator[Draws]:
        """The draws of each row."""
        for number, row in enumerate(self.rows):
            one = Draws([], seed=0, given={k: v[number, None] for k, v in self.given.items()})
            one.rows.append(row)
            yield one

    def draw(self, kind: str, name: str, shape: Sequence[int]) -> np.ndarray:
        """An array (rows, ...) of ``normal``, ``gumbel`` or ``uniform`` numbers.

        Raises:
            ValueError: The recorded array has another shape.
        """
        shape = (len(self.rows), *shape)
        if name not in self.given:
            return np.stack([getattr(row, kind)(shape[1:]) for row in self.rows])
        value = np.asarray(self.given[name], dtype=np.float32)
        if value.shape != shape:
            raise ValueError(
                f'the recorded draw {name!r} has the shape {value.shape}, but {shape} is asked for'
            )
        return value
