# The last quarter of the run trains for an answer in one step
_base_ = './ddp_r18_shapes.py'
model = dict(decode_head=dict(steps=1))
custom_hooks = [*_base_.custom_hooks, dict(type='mmdiffseg.OneStepHook', last_iters=450)]
