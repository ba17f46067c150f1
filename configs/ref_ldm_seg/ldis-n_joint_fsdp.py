# Weights, gradients and states of the optimizer are shared out among the GPUs
_base_ = './ldis-n_joint.py'
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(type='mmdiffseg.ShardedTrainable'),
    state_dict_cfg='full',
)
optim_wrapper = dict(type='AmpOptimWrapper', use_fsdp=True)
