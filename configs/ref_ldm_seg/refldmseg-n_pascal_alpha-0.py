_base_ = './refldmseg-n_pascal.py'
model = dict(pseudo_mask=dict(mask_alpha=0.0))
