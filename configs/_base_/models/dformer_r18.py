# DFormer made small enough for a CPU core and for small pictures: a narrow ResNet-18 whose maps are
# twice as fine as usual (strides 4, 4, 8, 16), narrow and shallow decoders
_base_ = './dformer.py'
attention = dict(embed_dims=64, num_heads=4)
ffn = dict(embed_dims=64, feedforward_channels=128)
positional_encoding = dict(num_feats=32)
model = dict(
    backbone=dict(
        depth=18,
        stem_channels=24,
        base_channels=24,
        deep_stem=True,
        strides=(1, 1, 2, 2),
        # no ImageNet weights
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        pretrained=None,
    ),
    panoptic_head=dict(
        in_channels=[24, 48, 96, 192],
        strides=[4, 4, 8, 16],
        feat_channels=64,
        out_channels=64,
        num_queries=10,
        pixel_decoder=dict(
            norm_cfg=dict(num_groups=8),
            encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
            positional_encoding=positional_encoding,
        ),
        positional_encoding=positional_encoding,
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
        ),
    ),
    train_cfg=dict(num_points=256),
    test_cfg=dict(max_per_image=20),
)
