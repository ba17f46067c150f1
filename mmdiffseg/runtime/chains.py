"""The loop of a chain: from noise to a clean map, a graph and a few numbers a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmdiffseg.runtime.draws import Draws

#: the graph of a step, with the context of the image filled in
Call = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(kw_only=True, eq=False)
class Step:
    """One call of the denoiser.

    Attributes:
        index: Number of the step in its chain.
        z_t: Map (rows, C, h, w) that went in.
        output: What the model says of it in the task's terms (rows, K, h, w).
        probability: The probability of every class that this means (rows, K, h, w).
        x0: Estimate of the clean map (rows, C, h, w).
        cls_scores: For a set of Q masks, class logits (rows, Q, K + 1), the last of no object.
        masks: Their mask logits (rows, Q, h, w).
        drawn: Where a chain of whole masks ends, class probabilities (rows, K, h, w).
    """

    index: int
    z_t: np.ndarray | None = None
    output: np.ndarray | None = None
    probability: np.ndarray | None = None
    x0: np.ndarray | None = None
    cls_scores: np.ndarray | None = None
    masks: np.ndarray | None = None
    drawn: np.ndarray | None = None


def walk_gaussian(
    loop: dict, rows: Sequence[dict], call: Call, shape: Sequence[int], draws: Draws
) -> Iterator[Step]:
    """Follow a chain of Gaussian noise, or of a flow.

    Args:
        loop: What the export says of all chains.
        rows: What it says of each step of this one.
        call: The graph.
        shape: Shape (C, h, w) of the maps.
        draws: ``start``, and ``step0``, ``step1``, ... where the steps add noise.
    """
    z_t = draws.draw('normal', 'start', shape)
    # the latest first, as the weights are
    maps, estimates = deque(maxlen=3), deque(maxlen=3)
    for index, row in enumerate(rows):
        said = call(dict(z_t=z_t, t=_time(row, loop['integer_times'])))
        yield Step(
            index=index,
            z_t=z_t,
            output=said.get('output'),
            probability=said.get('probability'),
            x0=said['x0'],
            cls_scores=said.get('cls_scores'),
            masks=said.get('masks'),
            drawn=said.get('probability'),
        )
        if index == len(rows) - 1:
            return
        maps.appendleft(z_t)
        estimates.appendleft(said['x0'])
        z_t = _mix(row['z'], maps) + _mix(row['x0'], estimates)
        if loop['stochastic']:
            noise = draws.draw('normal', f'step{index}', shape)
            z_t += _size(row['noise'], said.get('variance')) * noise


def _mix(weights: Sequence[float], maps: Sequence[np.ndarray]) -> np.ndarray:
    """Weighted sum of the latest maps; there may be more of them than weights."""
    return sum(w * m for w, m in zip(weights, maps, strict=False))


def _size(weights: Sequence[float], variance: np.ndarray | None) -> float | np.ndarray:
    """Size of the noise; between two, the network says where, on a log scale."""
    if len(weights) == 1:
        return weights[0]
    small, large = np.float32(weights)
    return small ** (1 - variance) * large**variance


def walk_categorical(
    loop: dict, rows: Sequence[dict], call: Call, shape: Sequence[int], draws: Draws
) -> Iterator[Step]:
    """Follow a chain of label maps; see :func:`walk_gaussian`.

    Draws of a chain: Gumbel ``start`` and ``step0``, ``step1``, ...; with the common coupling also
    uniform ``step0.clean``, ``step1.clean``, ..., by which the graph draws the clean classes. Each
    is the one before with the probability ``persistence``.
    """
    states, channels = loop['states'], shape[0]
    common = loop.get('coupling') == 'common'
    persistence = np.float32(loop.get('persistence', 0))
    number = None
    shape = (states, *shape[1:])

    def one_hot(scores: np.ndarray) -> np.ndarray:
        return (scores.argmax(axis=1)[:, None] == np.arange(states)[:, None, None]).astype(
            np.float32
        )

    def drawn(probabilities: np.ndarray, noise: np.ndarray) -> np.ndarray:
        with np.errstate(divide='ignore'):
            return one_hot(np.log(probabilities) + noise)

    noise = draws.draw('gumbel', 'start', shape)
    state = drawn(np.float32(loop['prior'])[:, None, None], noise)
    for index, row in enumerate(rows):
        z_t = np.ascontiguousarray(state[:, -channels:])
        jump = np.float32(row['jump']).reshape(-1, 1, 1, 1, 1)
        last = index == len(rows) - 1
        kind = loop['final'] if last else loop['state']
        given = dict(z_t=z_t, t=_time(row, True), jump=jump)
        # the last step ends in the clean classes that the graph draws
        noise = None
        if kind == 'sample' and not (common and last):
            noise = draws.draw('gumbel', f'step{index}', shape)
        if common:
            given['clean'] = np.full((len(z_t), 1, 1), -1, np.float32)  # draws none
            if kind == 'sample':
                fresh = draws.draw('uniform', f'step{index}.clean', (1, 1))
                if number is not None:
                    rest = (fresh - persistence) / max(1 - persistence, np.float32(1e-6))
                    fresh = np.where(fresh < persistence, number, rest)
                given['clean'] = number = fresh
        said = call(given)
        posterior, probability = said['posterior'], said['probability']
        if noise is not None:
            state = drawn(posterior, noise)
        elif kind in ('expected', 'probs'):
            state = posterior
        else:
            state = one_hot(posterior)
        yield Step(
            index=index,
            z_t=z_t,
            output=said['output'],
            probability=probability,
            drawn=state[:, : probability.shape[1]] if last else None,
        )


def walk_drawn(
    loop: dict, rows: Sequence[dict], call: Call, shapes: Sequence[Sequence[int]], draws: Draws
) -> Iterator[Step]:
    """The one step of a head without a chain; see :func:`walk_gaussian`."""
    given = {
        f'draw{i}': draws.draw(each['kind'], each['name'], shape)
        for i, (each, shape) in enumerate(zip(loop['draws'], shapes, strict=True))
    }
    said = call(given)
    probability = said['probability']
    yield Step(index=0, output=probability, probability=probability, drawn=probability)


def _time(row: dict, whole: bool) -> np.ndarray:
    return np.array([row['t']], dtype=np.int64 if whole else np.float32)
