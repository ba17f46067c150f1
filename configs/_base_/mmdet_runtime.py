_base_ = './default_runtime.py'
default_scope = 'mmdet'
# a dataset that needs mmdet's, which mmseg's models can do without
custom_imports = dict(
    imports=[
        'mmdiffseg',
        'mmdiffseg.datasets.coco_instances',
        'mmdiffseg.datasets.coco_panoptic',
    ]
)
visualizer = dict(type='DetLocalVisualizer')
tta_model = None
