# Total batch 16 on one GPU. The paper names Adam, 80k iterations and the batch; the learning rate
# is ours.
_base_ = './ldis_80k.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='Adam', lr=1e-4, betas=(0.9, 0.999), eps=1e-8)
)
param_scheduler = []
