# DFormer made small enough for a CPU core: a narrow ResNet-18, narrow and shallow decoders
_base_ = './dformer.py'
attention = dict(embed_dims=64, num_heads=4)
ffn = dict(embed_dims=64, feedforward_channels=128)
positional_encoding = dict(num_feats=32)
model = dict(
    backbone=dict(
        depth=18,
        stem_channels=24,
        base_channels=24,
        # from random weights
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        pretrained=None,
    ),
    panoptic_head=dict(
        in_channels=[24, 48, 96, 192],
        feat_channels=64,
        out_channels=64,
        num_queries=20,
        pixel_decoder=dict(
            norm_cfg=dict(num_groups=8),
            encoder=dict(num_layers=2, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
            positional_encoding=positional_encoding,
        ),
        positional_encoding=positional_encoding,
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
        ),
    ),
    train_cfg=dict(num_points=1024),
)
