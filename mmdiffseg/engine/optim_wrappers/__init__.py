"""Optimizer wrappers; importing this package registers all of them."""

from mmdiffseg.engine.optim_wrappers.guarded import GuardedOptimWrapper

__all__ = ['GuardedOptimWrapper']
