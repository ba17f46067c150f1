"""Wrappers of a model for runs with several processes."""

from __future__ import annotations

import torch
from mmengine.model import MMFullyShardedDataParallel
from torch import nn

from mmdiffseg.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class Unwrapped:
    """No wrapper, for testing: mmengine's refuses a model without gradients to share."""

    def __new__(cls, *, module: nn.Module) -> nn.Module:
        """Return the model itself."""
        return module


@MODEL_WRAPPERS.register_module()
class ShardedTrainable(MMFullyShardedDataParallel):
    """FSDP for the trainable parts; frozen parts stay whole on every device.

    FSDP gathers weights only for ``forward``, but autoencoders are called by ``encode``. It also
    wants all of its weights in a checkpoint, and ours leave the frozen ones out.

    Args:
        module: The model.
        device_id: Number of the process's GPU; ``'cpu'`` to try it without one.
        min_num_params: Blocks of at least this many parameters are gathered on their own.
    """

    def __init__(
        self, *, module: nn.Module, device_id: int | str, min_num_params: int = 10_000_000
    ) -> None:
        device = torch.device(device_id)
        frozen = [part for part in module.children() if _is_frozen(part)]
        for part in frozen:
            part.to(device)  # FSDP moves only what it shards
        super().__init__(
            module,
            device_id=device,
            ignored_modules=frozen,
            auto_wrap_policy=dict(
                type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy',
                min_num_params=min_num_params,
            ),
        )


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)
