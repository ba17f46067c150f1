# The tiny models of demo/tiny_world, for pictures of 64 pixels; minutes on two CPU cores
_base_ = './ref_ldm_seg.py'
model = dict(
    data_preprocessor=dict(size=64),
    stable_diffusion='demo/tiny_world',
    prompt_encoder=dict(
        type='mmdiffseg.CLIPPromptEncoder',
        checkpoint='demo/tiny_world/alpha_clip',
        # Alpha-CLIP's tokens say whether they show the concept. Attending to all of them, this
        # small U-Net learns sooner to follow the prompt.
        token_mask='none',
        input_norm='clip',  # as this tower was trained
    ),
    adapter='shared',
)
