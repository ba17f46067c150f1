# CCDM: Adam, and a rate that falls in a straight line over all iterations. The experiments set the
# number of epochs; goes with ema_runtime.py.
optim_wrapper = dict(
    type='mmdiffseg.GuardedOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    dtype='float32',
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
