# The twin of ddp_r18_shapes.py without diffusion: the same decoder, trained and tested without a
# label map; see tools/analysis_tools/steps_vs_quality.py --twin
_base_ = './ddp_r18_shapes.py'
model = dict(decode_head=dict(denoiser=dict(type='mmdiffseg.ZeroMapDecoder'), steps=1))
