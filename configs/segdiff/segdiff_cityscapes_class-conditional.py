# Ours: one model for the objects of all categories, told which one it is to find
_base_ = './segdiff_cityscapes-person.py'
model = dict(decode_head=dict(denoiser=dict(num_image_classes=8)))
train_dataloader = dict(dataset=dict(class_name=None))
val_dataloader = dict(dataset=dict(class_name=None))
test_dataloader = dict(dataset=dict(class_name=None))
