# default_runtime.py for models that are tested with averaged weights. A non-finite gradient is left
# to GuardedOptimWrapper, which skips the update first and gives up only after many.
_base_ = './default_runtime.py'
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-4),
]
