# Label encoding: the binary digits of the class, at the paper's best scale for it
_base_ = './ddp_swin-t_ade20k.py'
model = dict(
    decode_head=dict(
        label_encoder=dict(_delete_=True, type='mmdiffseg.AnalogBitsEncoder', scale=0.1)
    )
)
