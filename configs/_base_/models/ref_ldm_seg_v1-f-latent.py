# Ref LDM-Seg-f, optimised in latent space; the noise is unknown and left out, as released
_base_ = './ref_ldm_seg_v1.py'
model = dict(
    meta_arch=dict(type='mmdiffseg.OneStep', loss_space='latent'),
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.0),
)
