_base_ = './refldmseg-f-pixel_pascal.py'
model = dict(pseudo_mask=dict(mask_alpha=0.4))
