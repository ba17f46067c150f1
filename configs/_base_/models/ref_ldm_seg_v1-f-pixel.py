# Ref LDM-Seg-f, optimised in pixel space, through the frozen decoder
_base_ = './ref_ldm_seg_v1-f-latent.py'
model = dict(loss_space='pixel')
