# With the keys of a frozen DINO ViT-S/8 beside the image: a U-Net of 30.6 M parameters
_base_ = './ccdm_cityscapes.py'
model = dict(
    backbone=dict(
        type='mmdiffseg.ImageAndFeatures',
        backbone=dict(
            type='mmdiffseg.AttentionKeys',
            model='vit_small_patch8_224',
            pretrained='vit_small_patch8_224.dino',
        ),
    ),
    # the second residual block of stride 8, as in the authors' branch for Cityscapes
    decode_head=dict(in_channels=(3, 384), denoiser=dict(feature_block=11)),
)
