"""Steps, generations and seed of one call; afterwards the model is as it was."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

SETTINGS = ('steps', 'generations', 'seed')


@contextmanager
def changed(
    model: nn.Module,
    *,
    steps: int | None = None,
    generations: int | None = None,
    seed: int | None = None,
) -> Iterator[None]:
    """Set what is given for the time of a ``with`` block.

    Args:
        model: Any model.
        steps: Denoiser calls of a chain.
        generations: Chains of each image.
        seed: Seed of the noise; a model that draws nothing gives the same answer for all.

    Raises:
        ValueError: The model has no such setting, or cannot take this value.
    """
    given = dict(steps=steps, generations=generations, seed=seed)
    with ExitStack() as stack:
        for name, value in given.items():
            if value is None:
                continue
            _check_whole(name, value)
            owners = _owners(model, name)
            if not owners and name != 'seed':
                raise ValueError(f'{type(model).__name__} has no {name} to set: leave {name} out')
            for owner in owners:
                if name == 'steps':
                    _check_steps(owner, value)
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
        yield


def settings_of(model: nn.Module) -> dict[str, int]:
    """What :func:`changed` can set, with its present value."""
    owners = {name: _owners(model, name) for name in SETTINGS}
    return {name: getattr(parts[0], name) for name, parts in owners.items() if parts}


def _owners(model: nn.Module, name: str) -> list[nn.Module]:
    """The parts of a model with such a number of their own; a fixed one stands in the class."""
    return [part for part in model.modules() if type(vars(part).get(name)) is int]


def _check_whole(name: str, value: Any) -> None:
    least = 0 if name == 'seed' else 1
    if type(value) is not int or value < least:
        raise ValueError(f'{name} must be a whole number from {least}, got {value!r}')


def _check_steps(owner: nn.Module, steps: int) -> None:
    """Let the sampler refuse a number that it cannot walk."""
    if hasattr(owner, 'diffusion_sampler'):
        owner.diffusion_sampler.time_pairs(steps)
    elif hasattr(owner, 'sampler'):  # of diffusers
        owner.sampler.set_timesteps(steps)
