"""What stands between a runner of several processes and its model."""

from torch import nn

from mmdiffseg.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class Unwrapped:
    """Nothing: mmengine's own wrapper, which shares out gradients, refuses models without any."""

    def __new__(cls, *, module: nn.Module) -> nn.Module:
        """Return the model itself."""
        return module
