# Stable Diffusion chooses among given masks (/GS): the true ones, by instance_proposals.py
_base_ = './ref-diff_tiny_shapes.py'
model = dict(
    proposer=dict(
        _delete_=True,
        type='mmdiffseg.PrecomputedProposer',
        path='data/shapes-64/proposals_val.json',
    ),
    fusion=dict(area_aware=False),
)
