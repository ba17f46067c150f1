_base_ = './ldis-1_coco-20i_fold-0.py'
train_dataloader = dict(dataset=dict(fold=dict(number=1)))
val_dataloader = dict(dataset=dict(fold=dict(number=1)))
test_dataloader = val_dataloader
