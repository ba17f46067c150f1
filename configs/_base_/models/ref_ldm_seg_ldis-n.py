# LDIS-n: 20 steps of DDPM with guidance
_base_ = './ref_ldm_seg_ldis.py'
model = dict(
    type='mmdiffseg.RefLDMSegMultiStep',
    cond_drop_prob=0.05,
    sampler=dict(type='DDPMScheduler'),
    steps=20,
    guidance=dict(query=1.5, prompt=7.0),
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.4),
)
