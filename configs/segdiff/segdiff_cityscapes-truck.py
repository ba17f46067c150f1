_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='truck'))
val_dataloader = dict(dataset=dict(class_name='truck'))
test_dataloader = dict(dataset=dict(class_name='truck'))
