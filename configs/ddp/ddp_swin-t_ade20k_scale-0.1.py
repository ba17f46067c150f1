# Scale of the encoded labels (0.01 by default)
_base_ = './ddp_swin-t_ade20k.py'
model = dict(decode_head=dict(label_encoder=dict(scale=0.1)))
