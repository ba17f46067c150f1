_base_ = './refldmseg-f-latent_pascal.py'
model = dict(pseudo_mask=dict(mask_alpha=0.4))
