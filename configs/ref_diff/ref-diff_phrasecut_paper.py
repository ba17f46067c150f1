_base_ = [
    '../_base_/models/ref_diff_paper.py',
    '../_base_/datasets/phrasecut.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
