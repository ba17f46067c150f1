# LDIS-1 on the tiny models
_base_ = './ref_ldm_seg_tiny.py'
model = dict(
    type='mmdiffseg.RefLDMSegOneStep',
    loss_space='latent',
    latent_eval='mode',
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.0),
)
