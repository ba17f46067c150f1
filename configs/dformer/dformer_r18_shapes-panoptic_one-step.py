# The last quarter of the run trains for an answer in one step
_base_ = './dformer_r18_shapes-panoptic.py'
model = dict(panoptic_head=dict(steps=1))
custom_hooks = [*_base_.custom_hooks, dict(type='mmdiffseg.OneStepHook', last_iters=400)]
