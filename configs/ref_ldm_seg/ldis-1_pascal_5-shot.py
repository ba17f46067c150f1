# To test ldis-1_pascal.py with 5 prompts
_base_ = './ldis-1_pascal.py'
val_dataloader = dict(dataset=dict(shots=5))
test_dataloader = val_dataloader
