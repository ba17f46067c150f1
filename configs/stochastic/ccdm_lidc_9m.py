# The network that a comment in the released params_eval.yml calls 9M
_base_ = './ccdm_lidc.py'
model = dict(decode_head=dict(denoiser=dict(channel_mult=(1, 2, 2, 4, 5))))
