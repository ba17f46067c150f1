# Noise schedule: linear instead of cosine
_base_ = './ddp_swin-t_ade20k.py'
model = dict(decode_head=dict(noise_schedule=dict(_delete_=True, type='mmdiffseg.LinearLogSNR')))
