"""Checkpoints of what trains, for models most of which is frozen and to be had elsewhere."""

from collections.abc import Iterable

from torch import nn


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
