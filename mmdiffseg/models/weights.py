"""State dicts: load them exactly, or save only the part that trains."""

import re
from collections.abc import Iterable

from torch import Tensor, nn


def load_exactly(
    module: nn.Module, weights: dict[str, Tensor], *, source: str, fresh: str | None = None
) -> None:
    """Copy ``weights`` into ``module``; names and shapes must agree one to one.

    Args:
        module: Receives the weights.
        weights: State dict in the names of ``module``.
        source: Where the weights come from, for the message.
        fresh: Regular expression, matched from the start of a name, of parameters and buffers
            that keep their present value when ``weights`` has nothing for them.

    Raises:
        ValueError: Some name is unknown or missing, some shape differs, or fractions are wanted and
            there are none.
    """
    check_kinds(module, weights, source=source)
    own = module.state_dict()
    missing = [k for k in own if k not in weights and not (fresh and re.match(fresh, k))]
    unknown = [k for k in weights if k not in own]
    resized = [
        f'{k} {tuple(weights[k].shape)} instead of {tuple(own[k].shape)}'
        for k in own
        if k in weights and weights[k].shape != own[k].shape
    ]
    faults = [
        f'{len(names)} {fault} ({", ".join(names[:3])}{", ..." if len(names) > 3 else ""})'
        for names, fault in (
            (missing, 'missing'),
            (unknown, 'unknown'),
            (resized, 'of another shape'),
        )
        if names
    ]
    if faults:
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: {"; ".join(faults)}. '
            f'Check that the config describes the model these weights were trained with.'
        )
    module.load_state_dict(weights, strict=False)


def check_kinds(module: nn.Module, weights: dict[str, Tensor], *, source: str) -> None:
    """Refuse what torch would cast without a word: whole and complex numbers.

    Args:
        module: Is to receive the weights.
        weights: State dict in the names of ``module``.
        source: Where the weights come from, for the message.

    Raises:
        ValueError: A weight is no tensor, or none of fractions where the module has fractions.
    """
    for name, own in module.state_dict().items():
        weight = weights.get(name)
        if weight is None or not own.is_floating_point():
            continue
        kind = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        if not isinstance(weight, Tensor) or not weight.is_floating_point():
            raise ValueError(
                f'{source} holds {name} as {kind} and the model needs {own.dtype}: give the '
                'weights as they were trained'
            )


def save_only(module: nn.Module, names: Iterable[str]) -> None:
    """Limit the state dict of a module to some of its parameters and buffers.

    Loading such a state dict, also strictly, leaves the others as they are.

    Args:
        module: The outermost module, or what mmengine's wrappers hold.
        names: Names within it.
    """
    module._saved_names = frozenset(names)
    module._register_state_dict_hook(_drop_others)
    module.register_load_state_dict_post_hook(_excuse_others)


def _drop_others(module: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    for name in list(state_dict):
        if name.startswith(prefix) and name.removeprefix(prefix) not in module._saved_names:
            del state_dict[name]


def _excuse_others(module: nn.Module, incompatible_keys: tuple[list[str], list[str]]) -> None:
    missing = incompatible_keys[0]
    missing[:] = [k for k in missing if k.removeprefix('module.') in module._saved_names]
