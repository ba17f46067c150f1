# The last third of the run trains for samples in one step; all that makes their pixels agree is
# the number that they share
_base_ = './categorical_ambiguous-shapes.py'
model = dict(decode_head=dict(diffusion_sampler=dict(final='sample'), steps=1))
custom_hooks = [*_base_.custom_hooks, dict(type='mmdiffseg.OneStepHook', last_iters=1000)]
