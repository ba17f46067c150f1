# Weights and data are generated: see demo/tiny_world/scripts/README.md. Stable Diffusion alone (/G)
_base_ = [
    '../_base_/models/ref_diff_tiny.py',
    '../_base_/datasets/shapes_refer.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
