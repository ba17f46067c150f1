# PASCAL-5i: 15 classes to train, the 5 others to test in 1000 episodes. Fold 0, or --split fold-1
_base_ = ['./in_context_pascal.py', './in_context_folds.py']
fold = dict(benchmark='pascal-5i', number=0)
train_dataloader = dict(dataset=dict(fold=dict(fold, part='base')))
val_dataloader = dict(
    dataset=dict(fold=dict(fold, part='novel'), episodes='pairs', num_episodes=1000)
)
test_dataloader = val_dataloader
