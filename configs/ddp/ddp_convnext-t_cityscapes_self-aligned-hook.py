# One run of 160k iterations, the last 5k of them self-aligned as the paper words it; the released
# code fine-tunes a finished run instead (ddp_convnext-t_cityscapes_self-aligned.py)
_base_ = './ddp_convnext-t_cityscapes.py'
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmdiffseg.SelfAlignedHook', last_iters=5000),
]
