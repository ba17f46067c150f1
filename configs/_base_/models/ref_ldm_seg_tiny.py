# LDIS-1 on the tiny models of demo/tiny_world, for 64-pixel images; minutes on two CPU cores
_base_ = './ref_ldm_seg.py'
model = dict(
    data_preprocessor=dict(size=64),
    stable_diffusion='demo/tiny_world',
    meta_arch=dict(type='mmdiffseg.OneStep', loss_space='latent', latent_eval='mode'),
    pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', mask_alpha=0.0),
    prompt_encoder=dict(
        type='mmdiffseg.CLIPPromptEncoder',
        checkpoint='demo/tiny_world/alpha_clip',
        # Tokens of Alpha-CLIP say whether they show the concept. Where the others are attended to
        # as well, this small U-Net learns sooner to follow the prompt.
        token_mask='none',
        input_norm='clip',  # as this tower was trained
    ),
    adapter='shared',
)
