# 8 GPUs x 1 object
_base_ = [
    '../_base_/models/segrefiner.py',
    '../_base_/datasets/lvis_objects_256.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/segrefiner_120k.py',
]
