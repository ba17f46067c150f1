# For runs that do not start at 1e-4: a user of the authors' code found this rate to train
_base_ = './segdiff_monuseg.py'
model = dict(decode_head=dict(loss_reduction='mean'))
optim_wrapper = dict(optimizer=dict(lr=2e-5))
