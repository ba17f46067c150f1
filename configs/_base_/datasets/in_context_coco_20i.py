# COCO-20i: 60 classes to train, the 20 others to test in 1000 episodes. Fold 0, or --split fold-1
_base_ = ['./in_context_coco.py', './in_context_folds.py']
fold = dict(benchmark='coco-20i', number=0)
train_dataloader = dict(dataset=dict(fold=dict(fold, part='base')))
val_dataloader = dict(
    dataset=dict(fold=dict(fold, part='novel'), episodes='classes', num_episodes=1000)
)
test_dataloader = val_dataloader
