# Masks are given, Stable Diffusion chooses (/GS). instance_proposals.py writes the true ones
_base_ = './ref-diff_tiny_shapes.py'
model = dict(
    proposer=dict(
        _delete_=True,
        type='mmdiffseg.PrecomputedProposer',
        path='data/shapes-64/proposals_val.json',
    ),
    fusion=dict(area_aware=False),
)
