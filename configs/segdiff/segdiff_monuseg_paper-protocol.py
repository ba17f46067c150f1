# As released: all training images, and the checkpoint chosen on the very images it is tested on
_base_ = './segdiff_monuseg.py'
train_dataloader = dict(dataset=dict(ann_file=''))
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
