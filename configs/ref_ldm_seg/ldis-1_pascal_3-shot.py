# To test ldis-1_pascal.py with 3 prompts
_base_ = './ldis-1_pascal.py'
val_dataloader = dict(dataset=dict(shots=3))
test_dataloader = val_dataloader
