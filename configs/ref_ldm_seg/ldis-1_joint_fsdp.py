# Weights, gradients and states of the optimizer are shared out among the GPUs
_base_ = './ldis-1_joint.py'
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        use_orig_params=True,  # what is frozen and what is trained lie in the same blocks
        auto_wrap_policy=dict(
            type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy', min_num_params=10000000
        ),
    ),
    state_dict_cfg='full',
)
optim_wrapper = dict(type='AmpOptimWrapper', use_fsdp=True)
