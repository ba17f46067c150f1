# Stable Diffusion and CLIP choose among given masks
_base_ = './ref-diff_tiny_shapes_gs.py'
model = dict(
    discriminator=dict(
        _delete_=True, type='mmdiffseg.MaskedCLIP', checkpoint='demo/tiny_world/clip'
    ),
    positional_bias=dict(on=('heat', 'hard')),
    fusion=dict(hard=0.7, soft=0.3, gen=0.05),
)
