_base_ = './ldis-1_joint.py'
train_dataloader = dict(sampler=dict(mode='per_dataset'))
