# Stable Diffusion alone (/G), on generated data: see demo/tiny_world/scripts/README.md
_base_ = [
    '../_base_/models/ref_diff_tiny.py',
    '../_base_/datasets/shapes_refer.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
