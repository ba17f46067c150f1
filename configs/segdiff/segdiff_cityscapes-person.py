# One category, crops 10 to 20 % larger than the box (15 % to test); 2 GPUs x 15 crops = 30
_base_ = [
    '../_base_/models/segdiff.py',
    '../_base_/datasets/cityscapes_instances.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/segdiff_300k.py',
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
train_dataloader = dict(dataset=dict(class_name='person'))
val_dataloader = dict(dataset=dict(class_name='person'))
test_dataloader = dict(dataset=dict(class_name='person'))
auto_scale_lr = dict(enable=False, base_batch_size=30)
