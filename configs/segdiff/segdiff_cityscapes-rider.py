_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='rider'))
val_dataloader = dict(dataset=dict(class_name='rider'))
test_dataloader = dict(dataset=dict(class_name='rider'))
