_base_ = './refldmseg-n_pascal.py'
model = dict(lora=dict(r=2))
