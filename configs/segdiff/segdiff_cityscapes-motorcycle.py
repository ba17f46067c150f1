_base_ = './segdiff_cityscapes-person.py'
train_dataloader = dict(dataset=dict(class_name='motorcycle'))
val_dataloader = dict(dataset=dict(class_name='motorcycle'))
test_dataloader = dict(dataset=dict(class_name='motorcycle'))
