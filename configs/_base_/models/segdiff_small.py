# SegDiff at a width for laptops and small data sets: 3.2 M parameters instead of 160 M
_base_ = './segdiff.py'
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=8)),
    backbone=dict(out_channels=32, mid_channels=16, growth_channels=8, num_blocks=2),
    decode_head=dict(
        in_channels=32,
        denoiser=dict(
            model_channels=32,
            channel_mult=(1, 2, 2, 4),
            num_res_blocks=1,
            attention_downsample=(8,),
        ),
    ),
)
