# The tiny models on real pictures, to test only: the path is real, the scores mean nothing
_base_ = [
    '../_base_/models/ref_ldm_seg_tiny-1.py',
    '../_base_/datasets/in_context_coco_mini.py',
    '../_base_/default_runtime.py',
]
fit = [dict(type='Resize', scale=(64, 64), keep_ratio=True)]
val_dataloader = dict(
    dataset=dict(
        pipeline=[*_base_.load, *fit, *_base_.mask],
        prompt_pipeline=[*_base_.load, *_base_.mask, *fit],
        pack=dict(type='mmdiffseg.PackInContextInputs', stride=8),
    )
)
test_dataloader = val_dataloader
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
