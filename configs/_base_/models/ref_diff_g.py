# Ref-Diff/G: Stable Diffusion alone, proposals from its own heat maps
_base_ = './ref_diff.py'
model = dict(
    proposer=dict(_delete_=True, type='mmdiffseg.WeightFreeProposer'),
    discriminator=None,
    proposal_filter=None,
    fusion=dict(hard=0.0, soft=0.0, gen=1.0),
)
