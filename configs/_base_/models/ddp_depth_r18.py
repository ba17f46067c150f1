# DDP for depth, made small enough for a CPU core
_base_ = ['./ddp_r18.py', './ddp_depth_head.py']
depth_head = _base_.depth_head
depth_head.update(in_channels=32, channels=32)
depth_head.denoiser.update(num_layers=2, num_heads=2)
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(seg_pad_val=0),
    decode_head=dict(_delete_=True, **depth_head),
)
