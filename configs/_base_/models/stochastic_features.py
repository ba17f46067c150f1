# Draws whole masks on features of EfficientNet-Lite0; the experiments set the head
_base_ = './lite0_features.py'
model = dict(
    type='mmdiffseg.StochasticSegmentor',
    data_preprocessor=dict(test_cfg=dict(size_divisor=16)),
    # from the wheel: see tools/model_converters/efficientnet_lite0_to_timm.py
    backbone=dict(backbone=dict(pretrained='tf_efficientnet_lite0.in1k')),
    decode_head=dict(num_classes=2, generations=4),
    test_cfg=dict(mode='whole'),
)
