"""What of a chain stays a loop: its times and numbers, which a runtime without torch reads."""

from collections import deque
from collections.abc import Iterable

import torch

from mmdiffseg.diffusion.categorical_sampler import CategoricalSampler
from mmdiffseg.diffusion.samplers import Coefficients, Sampler, Step

#: step counts that a runtime can be asked for, besides the model's own
STEPS = (*range(1, 11), 25)


def step_counts(steps: Iterable[int] | None, *, own: int, longest: int | None) -> list[int]:
    """The step counts that a runtime can be asked for.

    Args:
        steps: What is wished for; by default `STEPS`.
        own: Steps of the model.
        longest: The longest chain that there is; None sets no bound.
    """
    if steps is None:
        steps = [count for count in STEPS if longest is None or count <= longest]
    return sorted({*steps, own})


def chain_rows(sampler: Sampler, steps: int) -> list[dict]:
    """The times and numbers of every step of a chain.

    A step of every sampler here is a sum of earlier maps, earlier estimates and noise, each times a
    number. Those numbers are found by giving it maps of ones and zeros.

    Args:
        sampler: The sampler.
        steps: Steps of the chain.

    Returns:
        For each step its time ``t``, and but for the last one the weights ``z``, ``x0`` (the latest
        step first) and ``noise``; two for the noise where the network learns its size. Categorical
        diffusion has the numbers of the ``jump`` in their place, in the last step too.

    Raises:
        ValueError: The sampler does something else.
    """
    pairs = sampler.time_pairs(steps)
    if isinstance(sampler, CategoricalSampler):
        times = [(torch.tensor([now]), torch.tensor([then])) for now, then in pairs]
        # a chain always ends at the clean time
        times[-1] = (times[-1][0], torch.tensor([sampler.schedule.clean_time]))
        jumps = [sampler.schedule.jump(t, s).flatten().tolist() for t, s in times]
        return [dict(t=now, jump=jump) for (now, _), jump in zip(pairs, jumps, strict=True)]
    nows = sampler.coefficients([now for now, _ in pairs])
    thens = sampler.coefficients([then for _, then in pairs])
    rows, seen = [], deque(maxlen=sampler.memory)
    for now, then in zip(nows, thens, strict=True):
        seen.append(now)
        row = dict(t=now.t)
        if len(rows) < steps - 1:
            row.update(_weights(sampler, list(seen), then))
        rows.append(row)
    return rows


def _weights(sampler: Sampler, seen: list[Coefficients], then: Coefficients) -> dict:
    """The weights of one step, see :func:`chain_rows`."""
    count = len(seen)
    # one map of a single pixel for every input: all zeros but for that input
    basis = torch.eye(2 * count + 1, dtype=torch.float64)
    mixture = torch.linspace(-1, 1, 2 * count + 1, dtype=torch.float64)
    inputs = torch.cat([basis, mixture[None]])  # (inputs + 1, inputs)

    def moved(fraction: float) -> torch.Tensor:
        columns = inputs.T[:, :, None, None, None]
        steps = [
            Step(
                index=i,
                now=now,
                z_t=columns[2 * i].clone(),
                output=columns[2 * i + 1].clone(),
                variance=torch.full_like(columns[0], fraction),
                encode=lambda output: output,
            )
            for i, now in enumerate(seen)
        ]
        noise = columns[-1].clone() if sampler.stochastic else None
        weights = sampler.step(steps, then, noise).flatten()
        if not torch.allclose(weights[:-1] @ mixture, weights[-1]):
            raise ValueError(
                f'a step of {type(sampler).__name__} is not a weighted sum of maps, so a runtime '
                'cannot follow it: sample with another one, such as DDIMSampler'
            )
        return weights[:-1]

    small, large = moved(0.0), moved(1.0)
    noise = small[-1:] if small[-1] == large[-1] else torch.stack([small[-1], large[-1]])
    return dict(
        z=small[:-1:2].flip(0).tolist(), x0=small[1:-1:2].flip(0).tolist(), noise=noise.tolist()
    )
