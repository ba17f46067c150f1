# The released code: Alpha-CLIP, one adapter, the whole U-Net is trained
_base_ = './ref_ldm_seg.py'
model = dict(
    prompt_encoder=dict(
        type='mmdiffseg.CLIPPromptEncoder',
        # what tools/model_converters/alpha_clip_to_mmdiffseg.py writes
        checkpoint='checkpoints/alpha-clip_vit-l14',
        input_norm='half',
        token_mask='nearest',
    ),
    adapter='shared',
)
