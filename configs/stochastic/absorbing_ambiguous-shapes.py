# Pixels are hidden and appear one by one
_base_ = './categorical_ambiguous-shapes.py'
model = dict(decode_head=dict(noise_schedule=dict(type='mmdiffseg.AbsorbingDiffusion')))
