# Ref LDM-Seg-f, optimised in latent space; without noise, whose strength the paper does not give
_base_ = './ref_ldm_seg_v1.py'
model = dict(
    type='mmdiffseg.RefLDMSegOneStep',
    loss_space='latent',
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.0),
)
