_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='bicycle'))
val_dataloader = dict(dataset=dict(class_name='bicycle'))
test_dataloader = dict(dataset=dict(class_name='bicycle'))
