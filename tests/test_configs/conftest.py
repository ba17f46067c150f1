import torch
from pytest import fixture
from torch.overrides import TorchFunctionMode

ALLOCATORS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)


class MetaAllocation(TorchFunctionMode):
    """New tensors have a shape and no memory; small tables (arange, linspace) keep their values.

    ``torch.device('meta')`` would take those too, which models read while they are built.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in ALLOCATORS and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


@fixture(scope='session')
def meta_allocation():
    """Context manager in which models of any size are built at once."""
    return MetaAllocation
