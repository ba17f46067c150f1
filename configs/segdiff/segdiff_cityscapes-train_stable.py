# For runs that do not start at 1e-4: a user of the authors' code found this rate to train;
# 2 GPUs x 4 crops = 8
_base_ = './segdiff_cityscapes-train.py'
model = dict(decode_head=dict(loss_reduction='mean'))
optim_wrapper = dict(optimizer=dict(lr=2e-5))
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=8)
