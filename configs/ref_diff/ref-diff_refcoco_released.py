_base_ = [
    '../_base_/models/ref_diff_released.py',
    '../_base_/datasets/refcoco.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
model = dict(proposal_filter=dict(min_pixels=10000))
test_dataloader = dict(dataset=dict(sample_by='ref'))
test_evaluator = dict(released_weighted_iou=True)
