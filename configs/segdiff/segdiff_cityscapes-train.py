_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='train'))
val_dataloader = dict(dataset=dict(class_name='train'))
test_dataloader = dict(dataset=dict(class_name='train'))
