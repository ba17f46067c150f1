# The whole U-Net is trained, for which the learning rate is that of LDIS
_base_ = './refldmseg-n_pascal.py'
model = dict(lora=None)
optim_wrapper = dict(optimizer=dict(lr=1e-5))
