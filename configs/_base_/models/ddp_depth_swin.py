# DDP for depth on Swin-T
_base_ = ['./ddp_swin.py', './ddp_depth_head.py']
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(seg_pad_val=0),
    decode_head=dict(_delete_=True, **_base_.depth_head),
    auxiliary_head=None,
)
