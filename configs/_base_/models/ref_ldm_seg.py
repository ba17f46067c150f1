# Ref LDM-Seg on Stable Diffusion 1.5, for pictures of 256 pixels; the profiles set everything else
model = dict(
    data_preprocessor=dict(type='mmdiffseg.InContextPreprocessor', size=256),
    # a folder that diffusers saved, or a name on the hub
    stable_diffusion='stable-diffusion-v1-5/stable-diffusion-v1-5',
)
