# Every class of every image is tested
_base_ = './ldis-1_pascal.py'
val_dataloader = dict(dataset=dict(episodes='pairs'))
test_dataloader = val_dataloader
