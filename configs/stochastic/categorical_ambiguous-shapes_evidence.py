# A network that sees more, once per image, and adds up what much noise says
_base_ = './categorical_ambiguous-shapes.py'
model = dict(decode_head=dict(denoiser=dict(image_blocks=1, evidence_channels=16)))
