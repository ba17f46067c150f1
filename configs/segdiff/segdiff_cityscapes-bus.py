_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='bus'))
val_dataloader = dict(dataset=dict(class_name='bus'))
test_dataloader = dict(dataset=dict(class_name='bus'))
