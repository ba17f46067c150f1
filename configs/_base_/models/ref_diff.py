# Ref-Diff with all its parts, at the settings of the released code but without its three faults:
# swapped colours, one answer for all sentences of an object, and noise without a seed
model = dict(
    type='mmdiffseg.RefDiff',
    proposer=dict(type='mmdiffseg.SAMProposer', checkpoint='facebook/sam-vit-huge'),
    generator=dict(
        type='mmdiffseg.CrossAttentionLocalizer',
        # The non-EMA weights of v1-5-pruned.ckpt, as released, converted by
        # tools/model_converters/ldm_to_diffusers.py. The hub's folder has the EMA weights
        checkpoint='checkpoints/stable-diffusion-v1-5-no-ema',
    ),
    discriminator=dict(type='mmdiffseg.MaskedCLIP', checkpoint='openai/clip-vit-base-patch16'),
    positional_bias=dict(
        type='mmdiffseg.PositionalBias', directions=('left', 'right'), on=('hard',)
    ),
    # released with min_pixels=10000 on RefCOCO and RefCOCO+
    proposal_filter=dict(type='mmdiffseg.AreaProposalFilter', topk=10, min_pixels=0),
    fusion=dict(
        type='mmdiffseg.RefScoreFusion',
        hard=0.7,
        soft=0.3,
        gen=0.05,
        hard_text=(1.0, 0.0),
        soft_text=(0.5, 0.5),
    ),
)
