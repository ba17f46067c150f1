# LDIS-1: one step, without noise
_base_ = './ref_ldm_seg_ldis.py'
model = dict(
    type='mmdiffseg.RefLDMSegOneStep',
    loss_space='latent',
    latent_eval='sample',
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.0),
)
