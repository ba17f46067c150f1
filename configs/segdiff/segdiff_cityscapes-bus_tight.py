_base_ = './segdiff_cityscapes-bus.py'
train_dataloader = dict(dataset=dict(expansion=0))
val_dataloader = dict(dataset=dict(expansion=0))
test_dataloader = dict(dataset=dict(expansion=0))
