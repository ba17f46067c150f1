import json

import pytest
import torch
from mmengine.config import ConfigDict

from mmdiffseg.registry import MODELS

WIDTH = 32
ATTENTION = dict(embed_dims=WIDTH, num_heads=4, batch_first=True)
PIXEL_DECODER = dict(
    type='mmdiffseg.MSDeformAttnPixelDecoder',
    num_outs=3,
    norm_cfg=dict(type='GN', num_groups=8),
    act_cfg=dict(type='ReLU'),
    encoder=dict(
        num_layers=1,
        layer_cfg=dict(
            self_attn_cfg=dict(ATTENTION, num_levels=3, num_points=2, dropout=0.0),
            ffn_cfg=dict(embed_dims=WIDTH, feedforward_channels=40, num_fcs=2, ffn_drop=0.0),
        ),
    ),
    positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
)
HEAD = dict(
    type='mmdiffseg.DFormerHead',
    in_channels=[8, 12, 16, 20],
    feat_channels=WIDTH,
    out_channels=WIDTH,
    num_things_classes=5,
    num_stuff_classes=2,
    num_queries=12,
    positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
    pixel_decoder=PIXEL_DECODER,
    transformer_decoder=dict(
        return_intermediate=True,
        num_layers=4,
        layer_cfg=dict(
            self_attn_cfg=ATTENTION,
            cross_attn_cfg=ATTENTION,
            ffn_cfg=dict(embed_dims=WIDTH, feedforward_channels=48, num_fcs=2, ffn_drop=0.0),
        ),
    ),
    train_cfg=dict(
        num_points=50,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='mmdet.HungarianAssigner',
            match_costs=[
                dict(type='mmdet.ClassificationCost', weight=2.0),
                dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='mmdet.MaskPseudoSampler'),
    ),
)
SD_15 = {
    'unet/config.json': dict(
        _class_name='UNet2DConditionModel',
        attention_head_dim=8,
        block_out_channels=[320, 640, 1280, 1280],
        cross_attention_dim=768,
        down_block_types=['CrossAttnDownBlock2D'] * 3 + ['DownBlock2D'],
        in_channels=4,
        layers_per_block=2,
        out_channels=4,
        sample_size=64,
        up_block_types=['UpBlock2D'] + ['CrossAttnUpBlock2D'] * 3,
    ),
    'vae/config.json': dict(
        _class_name='AutoencoderKL',
        block_out_channels=[128, 256, 512, 512],
        down_block_types=['DownEncoderBlock2D'] * 4,
        latent_channels=4,
        layers_per_block=2,
        norm_num_groups=32,
        sample_size=512,
        up_block_types=['UpDecoderBlock2D'] * 4,
    ),
    'scheduler/scheduler_config.json': dict(
        _class_name='PNDMScheduler',
        beta_end=0.012,
        beta_schedule='scaled_linear',
        beta_start=0.00085,
        num_train_timesteps=1000,
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
    ),
    'clip/config.json': dict(
        model_type='clip_vision_model',
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
    ),
}


@pytest.fixture
def build_dformer_head():
    """Builds a head 32 wide with 12 queries, 5 things and 2 stuff classes."""

    def build(**options):
        config = ConfigDict(HEAD)
        if 'num_classes' in options:
            del config['num_things_classes'], config['num_stuff_classes']
        return MODELS.build(ConfigDict(config, **options))

    return build


@pytest.fixture
def pixel_decoder_config():
    """Of a pixel decoder 32 wide, whose channels are to be filled in."""
    return ConfigDict(PIXEL_DECODER)


@pytest.fixture(scope='session')
def diffusion_folder(tmp_path_factory):
    """A Stable Diffusion of random weights for 64 pixels, with CLIP and Alpha-CLIP towers."""
    diffusers = pytest.importorskip('diffusers')
    transformers = pytest.importorskip('transformers')
    folder = tmp_path_factory.mktemp('stable_diffusion')
    torch.manual_seed(0)
    diffusers.AutoencoderKL(
        block_out_channels=(32, 64, 64),
        down_block_types=('DownEncoderBlock2D',) * 3,
        up_block_types=('UpDecoderBlock2D',) * 3,
        layers_per_block=1,
        norm_num_groups=8,
    ).save_pretrained(folder / 'vae')
    diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=('CrossAttnDownBlock2D',) * 2,
        up_block_types=('CrossAttnUpBlock2D',) * 2,
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=8,
    ).save_pretrained(folder / 'unet')
    diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', steps_offset=1
    ).save_pretrained(folder / 'scheduler')
    tower = dict(
        hidden_size=96,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=64,
        patch_size=8,
    )
    for name, channels in (('clip', 3), ('alpha_clip', 4)):
        config = transformers.CLIPVisionConfig(**tower, num_channels=channels)
        transformers.CLIPVisionModel(config).save_pretrained(folder / name)
    return folder


@pytest.fixture
def build_ref_ldm_seg(diffusion_folder):
    """Builds a Ref LDM-Seg of one or many steps; options replace parts of its config."""

    def build(kind='OneStep', *, prompt_encoder={}, pseudo_mask={}, **options):
        encoder = {'checkpoint': str(diffusion_folder / 'clip'), **prompt_encoder}
        config = dict(
            data_preprocessor=dict(type='mmdiffseg.InContextPreprocessor', size=64),
            stable_diffusion=str(diffusion_folder),
            pseudo_mask=dict(type='mmdiffseg.PseudoMaskEncoder', **pseudo_mask),
            prompt_encoder=dict(encoder, type='mmdiffseg.CLIPPromptEncoder'),
        )
        return MODELS.build({**config, 'type': f'mmdiffseg.RefLDMSeg{kind}', **options})

    return build


@pytest.fixture
def sd_15_folder(tmp_path):
    """Configurations, without weights, at the width of Stable Diffusion 1.5 and CLIP ViT-L/14."""
    for name, config in SD_15.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(config))
    return tmp_path
