# Ref-Diff on the tiny world of coloured shapes: weights in the repository, runs on a CPU
_base_ = './ref_diff.py'
model = dict(
    proposer=dict(_delete_=True, type='mmdiffseg.WeightFreeProposer'),
    generator=dict(
        checkpoint='demo/tiny_world',
        image_size=64,
        capture_stride=4,
        prompt_suffix='',
        # the attention of this world was trained without guidance
        attn_guidance=None,
        # latents of this world's pictures vary less than those of photographs
        max_latent_std=1.25,
    ),
    discriminator=None,
    root_finder=dict(type='mmdiffseg.RuleRootTokenFinder'),
    # the attention of this world knows no places, so that the ramp goes on the heat map
    positional_bias=dict(
        directions=('left', 'right', 'top', 'bottom'), word_boundary=True, on=('heat',)
    ),
    proposal_filter=None,
    fusion=dict(hard=0.0, soft=0.0, gen=1.0, area_aware=True),
)
