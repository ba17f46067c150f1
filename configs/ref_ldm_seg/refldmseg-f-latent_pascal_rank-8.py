_base_ = './refldmseg-f-latent_pascal.py'
model = dict(lora=dict(r=8))
