# The first release of this config: norms inside the heads have no weight decay either
_base_ = './ddp_swin-t_ade20k.py'
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(_delete_=True, pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
    )
)
