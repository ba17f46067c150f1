_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='car'))
val_dataloader = dict(dataset=dict(class_name='car'))
test_dataloader = dict(dataset=dict(class_name='car'))
