# LDIS-n on the tiny models
_base_ = './ref_ldm_seg_tiny.py'
model = dict(
    type='mmdiffseg.RefLDMSegMultiStep',
    sampler=dict(type='DDIMScheduler'),
    steps=20,
    guidance=dict(query=1.5, prompt=7.0),
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.4),
)
