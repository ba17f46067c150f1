# As released: the checkpoint is chosen on the very objects it is tested on
_base_ = './segdiff_cityscapes-train.py'
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
