# SegRefiner at a width for CPUs, for crops of 128 pixels in blocks of 2 x 2: 2.6 M parameters
_base_ = './segrefiner.py'
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    decode_head=dict(
        denoiser=dict(
            _delete_=True,
            type='mmdiffseg.PixelShuffleUNet',
            factor=2,
            denoiser=dict(
                type='mmdiffseg.SegDiffUNet',
                model_channels=32,
                channel_mult=(1, 1, 2, 4),
                num_res_blocks=1,
                attention_downsample=(),
                fusion='input_concat',
                time_table=6,
                zero_init=False,
            ),
        ),
        max_batch=16,
    ),
    test_cfg=dict(mode='auto', size=128, margin=20, min_area=16),
)
