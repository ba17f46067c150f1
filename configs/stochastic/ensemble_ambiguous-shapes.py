# Baseline: several trainings of the pixel-wise network with seeds of their own, each its likeliest
# classes. Nothing is trained here: name the checkpoints by
# --cfg-options model.checkpoints="['seed0.pth','seed1.pth']".
_base_ = [
    '../_base_/models/stochastic_features.py',
    '../_base_/datasets/ambiguous_shapes.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='mmdiffseg.CheckpointEnsemble',
    data_preprocessor=dict(_base_.model.data_preprocessor, size=_base_.crop_size),
    member=dict(
        _base_.model,
        decode_head=dict(
            _base_.model.decode_head, type='mmdiffseg.PixelwiseHead', num_classes=7, generations=16
        ),
    ),
    checkpoints=[],
)
test_cfg = dict(type='TestLoop')
train_dataloader = None
val_dataloader = None
val_evaluator = None
