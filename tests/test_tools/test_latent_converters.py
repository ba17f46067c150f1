"""Converters to folders of diffusers and transformers: ldm, openai_clip, sam."""

import json
import re
import sys

import pytest
import torch
from torch import nn

pytest.importorskip('diffusers')
transformers = pytest.importorskip('transformers')

import ldm_to_diffusers  # noqa: E402
import openai_clip_to_transformers  # noqa: E402
import sam_to_transformers  # noqa: E402

from mmdiffseg.engine import to_folder  # noqa: E402


def renamed(state, rules):
    """A state dict under other names; each rule is applied in turn."""
    result = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        result[name] = value
    return result


def run(module, monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['converter', *map(str, args)])
    module.main()


# ---------------------------------------------------------------------------------------- CLIP


class Block(nn.Module):
    """A layer of OpenAI's CLIP, under its names."""

    def __init__(self, width):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(
            dict(c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width))
        )

    def forward(self, x, mask=None):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        y = self.mlp['c_fc'](self.ln_2(x))
        return x + self.mlp['c_proj'](y * torch.sigmoid(1.702 * y))


class OpenAICLIP(nn.Module):
    """CLIP as OpenAI wrote it, small: 16 pixels, 20 words, 7 tokens."""

    def __init__(self):
        super().__init__()
        self.visual = nn.Module()
        self.visual.conv1 = nn.Conv2d(3, 128, 8, 8, bias=False)
        self.visual.class_embedding = nn.Parameter(torch.randn(128))
        self.visual.positional_embedding = nn.Parameter(torch.randn(5, 128))
        self.visual.ln_pre, self.visual.ln_post = nn.LayerNorm(128), nn.LayerNorm(128)
        self.visual.proj = nn.Parameter(torch.randn(128, 24))
        self.visual.transformer = nn.Module()
        self.visual.transformer.resblocks = nn.ModuleList(Block(128) for _ in range(2))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(64) for _ in range(3))
        self.token_embedding = nn.Embedding(20, 64)
        self.positional_embedding = nn.Parameter(torch.randn(7, 64))
        self.ln_final = nn.LayerNorm(64)
        self.text_projection = nn.Parameter(torch.randn(64, 24))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def encode_image(self, image):
        v = self.visual
        x = v.conv1(image).flatten(2).transpose(1, 2)
        x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
        x = v.ln_pre(x)
        for block in v.transformer.resblocks:
            x = block(x)
        return v.ln_post(x[:, 0]) @ v.proj

    def encode_text(self, ids):
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((7, 7), float('-inf')).triu(1)
        for block in self.transformer.resblocks:
            x = block(x, mask)
        return self.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)] @ self.text_projection


@torch.no_grad()
def test_clip_computes_the_same(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    theirs = OpenAICLIP().eval()
    file = tmp_path / 'clip.pt'
    torch.save(theirs.state_dict() | dict(context_length=torch.tensor(7)), file)
    run(openai_clip_to_transformers, monkeypatch, file, tmp_path / 'clip')
    assert 'tensors fit CLIPConfig' in capsys.readouterr().out
    ours = transformers.CLIPModel.from_pretrained(tmp_path / 'clip')
    image = torch.randn(2, 3, 16, 16)
    pooled = ours.vision_model(image).pooler_output
    close = dict(atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.visual_projection(pooled), theirs.encode_image(image), **close)
    # 19 ends a text, zeros follow
    ids = torch.tensor([[18, 3, 5, 19, 0, 0, 0], [18, 4, 19, 0, 0, 0, 0]])
    pooled = ours.text_model(ids).pooler_output
    torch.testing.assert_close(ours.text_projection(pooled), theirs.encode_text(ids), **close)
    assert ours.logit_scale == 2


def test_tokenizer_of_the_folder(tmp_path):
    to_folder.write_clip_tokenizer(tmp_path / 'tokenizer')
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / 'tokenizer')
    ids = tokenizer('A photo of a cat!', padding='max_length').input_ids
    assert ids[:8] == [49406, 320, 1125, 539, 320, 2368, 256, 49407]
    assert len(ids) == 77 and set(ids[8:]) == {49407}
    assert len(tokenizer('skateboarder', add_special_tokens=False).input_ids) == 2


# ----------------------------------------------------------------------------------------- SAM

# from transformers' names to the authors'
SAM_NAMES = [
    (r'^(.*(hypernetworks_mlps\.\d|prediction_head))\.layers\.0', r'\1.layers.1'),
    (r'(mlps\.\d|head)\.proj_in', r'\1.layers.0'),
    (r'(mlps\.\d|head)\.proj_out', r'\1.layers.2'),
    (r'^vision_encoder\.layers\.(\d)\.layer_norm', r'image_encoder.blocks.\1.norm'),
    (r'^vision_encoder\.layers', 'image_encoder.blocks'),
    (r'^vision_encoder\.neck\.conv1', 'image_encoder.neck.0'),
    (r'^vision_encoder\.neck\.layer_norm1', 'image_encoder.neck.1'),
    (r'^vision_encoder\.neck\.conv2', 'image_encoder.neck.2'),
    (r'^vision_encoder\.neck\.layer_norm2', 'image_encoder.neck.3'),
    (r'^vision_encoder', 'image_encoder'),
    (r'patch_embed\.projection', 'patch_embed.proj'),
    (r'prompt_encoder\.shared_embedding\.positional_embedding',
     'prompt_encoder.pe_layer.positional_encoding_gaussian_matrix'),
    (r'\.point_embed\.', '.point_embeddings.'),
    (r'mask_embed\.conv1', 'mask_downscaling.0'),
    (r'mask_embed\.layer_norm1', 'mask_downscaling.1'),
    (r'mask_embed\.conv2', 'mask_downscaling.3'),
    (r'mask_embed\.layer_norm2', 'mask_downscaling.4'),
    (r'mask_embed\.conv3', 'mask_downscaling.6'),
    (r'layer_norm_final_attn', 'norm_final_attn'),
    (r'(transformer\.layers\.\d)\.layer_norm', r'\1.norm'),
    (r'upscale_conv1', 'output_upscaling.0'),
    (r'upscale_layer_norm', 'output_upscaling.1'),
    (r'upscale_conv2', 'output_upscaling.3'),
]  # fmt: skip


def test_sam_round_trip(tmp_path, monkeypatch):
    torch.manual_seed(0)
    part = dict(hidden_size=16, image_size=64, patch_size=16)
    config = transformers.SamConfig(
        vision_config=dict(
            **part,
            output_channels=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            window_size=2,
            global_attn_indexes=[1],
            mlp_dim=24,
            num_pos_feats=8,
        ),
        prompt_encoder_config=dict(**part, mask_input_channels=4),
        mask_decoder_config=dict(hidden_size=16, mlp_dim=24, iou_head_hidden_dim=12),
    )
    model = transformers.SamModel(config).eval()
    state = model.state_dict()
    theirs = renamed(state, SAM_NAMES)
    del theirs['shared_image_embedding.positional_embedding']
    theirs |= dict(pixel_mean=torch.zeros(3), pixel_std=torch.ones(3))
    for name in (
        'image_encoder.blocks.1.norm2.bias',
        'prompt_encoder.mask_downscaling.6.weight',
        'mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.weight',
        'mask_decoder.output_hypernetworks_mlps.3.layers.2.bias',
        'mask_decoder.iou_prediction_head.layers.1.weight',
        'mask_decoder.output_upscaling.3.bias',
    ):
        assert name in theirs
    file = tmp_path / 'sam.pth'
    torch.save(theirs, file)
    run(sam_to_transformers, monkeypatch, file, '--check')
    run(sam_to_transformers, monkeypatch, file, tmp_path / 'sam')
    converted = transformers.SamModel.from_pretrained(tmp_path / 'sam')
    assert converted.config.vision_config.global_attn_indexes == [1]
    for name, value in converted.state_dict().items():
        assert torch.equal(value, state[name]), name
    theirs['image_encoder.blocks.0.norm1.bias'] = torch.zeros(3)
    with pytest.raises(ValueError, match='1 of another shape'):
        sam_to_transformers.build(to_folder.shapes_of(theirs), source='sam.pth')


# ----------------------------------------------------------------------------- Stable Diffusion

RESNET = [
    (r'\.norm1\.', '.in_layers.0.'),
    (r'\.conv1\.', '.in_layers.2.'),
    (r'\.time_emb_proj\.', '.emb_layers.1.'),
    (r'\.norm2\.', '.out_layers.0.'),
    (r'\.conv2\.', '.out_layers.3.'),
    (r'\.conv_shortcut\.', '.skip_connection.'),
]
CONFIGS = dict(
    unet=dict(
        block_out_channels=(8, 16, 16),
        down_block_types=('CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'),
        layers_per_block=2,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ),
    vae=dict(
        block_out_channels=(8, 16),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        layers_per_block=1,
        norm_num_groups=4,
    ),
    text_encoder=dict(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=7,
    ),
    scheduler={},
)


def unet_in_ldm(name):
    """Name of a U-Net's tensor in LDM; two layers per block, attention but on the lowest level."""
    for pattern, replacement in (
        (r'^time_embedding\.linear_1', 'time_embed.0'),
        (r'^time_embedding\.linear_2', 'time_embed.2'),
        (r'^conv_in', 'input_blocks.0.0'),
        (r'^conv_norm_out', 'out.0'),
        (r'^conv_out', 'out.2'),
        (r'^mid_block\.resnets\.0', 'middle_block.0'),
        (r'^mid_block\.attentions\.0', 'middle_block.1'),
        (r'^mid_block\.resnets\.1', 'middle_block.2'),
    ):
        name = re.sub(pattern, replacement, name)
    if match := re.match(r'(down|up)_blocks\.(\d)\.(\w+)\.(\d)(\.conv)?', name):
        side, i, kind, j = match[1], int(match[2]), match[3], int(match[4])
        block = {
            'resnets': f'{3 * i + j + (side == "down")}.0',
            'attentions': f'{3 * i + j + (side == "down")}.1',
            'downsamplers': f'{3 * i + 3}.0.op',
            'upsamplers': f'{3 * i + 2}.{1 if i == 0 else 2}.conv',
        }[kind]
        place = dict(down='input_blocks', up='output_blocks')[side]
        kept = '' if kind in ('downsamplers', 'upsamplers') else match[5] or ''
        name = f'{place}.{block}{kept}{name[match.end() :]}'
    if '.transformer_blocks.' not in name:
        for pattern, replacement in RESNET:
            name = re.sub(pattern, replacement, name)
    return f'model.diffusion_model.{name}'


def vae_in_ldm(name):
    name = re.sub(r'up_blocks\.(\d)', lambda m: f'up.{1 - int(m[1])}', name)
    for pattern, replacement in (
        (r'down_blocks', 'down'),
        (r'(down|up)\.(\d)\.resnets', r'\1.\2.block'),
        (r'(down|up)samplers\.0', r'\1sample'),
        (r'conv_shortcut', 'nin_shortcut'),
        (r'mid_block\.resnets\.0', 'mid.block_1'),
        (r'mid_block\.resnets\.1', 'mid.block_2'),
        (r'mid_block\.attentions\.0', 'mid.attn_1'),
        (r'group_norm', 'norm'),
        (r'attn_1\.to_([qkv])', r'attn_1.\1'),
        (r'to_out\.0', 'proj_out'),
        (r'conv_norm_out', 'norm_out'),
    ):
        name = re.sub(pattern, replacement, name)
    return f'first_stage_model.{name}'


@pytest.fixture(scope='module')
def single_file():
    """The models, and their state dict in LDM's names with an average of the U-Net."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.manual_seed(0)
    unet, vae = UNet2DConditionModel(**CONFIGS['unet']), AutoencoderKL(**CONFIGS['vae'])
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**CONFIGS['text_encoder']))
    weights = {unet_in_ldm(name): value for name, value in unet.state_dict().items()}
    for name, value in list(weights.items()):
        weights['model_ema.' + name.removeprefix('model.').replace('.', '')] = value + 1
    for name, value in vae.state_dict().items():
        linear = '.attentions.' in name and value.ndim == 2
        weights[vae_in_ldm(name)] = value[..., None, None] if linear else value
    for name, value in text.state_dict().items():
        name = f'text_model.{name.removeprefix("text_model.")}'
        weights[f'cond_stage_model.transformer.{name}'] = value
    weights['cond_stage_model.transformer.text_model.embeddings.position_ids'] = torch.arange(7)
    return dict(unet=unet, vae=vae, text_encoder=text), weights


@pytest.mark.parametrize(('choice', 'added'), [('plain', 0), ('ema', 1)])
def test_ldm_round_trip(single_file, choice, added):
    models, weights = single_file
    weights = ldm_to_diffusers.without_average(weights, choice, source='sd.ckpt')
    converted = ldm_to_diffusers.build(weights, source='sd.ckpt', configs=CONFIGS)
    for part, model in models.items():
        own = converted[part].state_dict()
        assert own.keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            torch.testing.assert_close(own[name], value + (added if part == 'unet' else 0))


def test_ldm_folder(single_file, tmp_path, monkeypatch, capsys):
    from diffusers import DDIMScheduler

    _, weights = single_file
    monkeypatch.setattr(ldm_to_diffusers, 'build', build_small)
    file = tmp_path / 'sd.ckpt'
    torch.save(dict(state_dict=weights), file)
    with pytest.raises(SystemExit, match='choose by --weights plain or ema'):
        run(ldm_to_diffusers, monkeypatch, file, '--check')
    run(ldm_to_diffusers, monkeypatch, file, '--check', '--weights', 'ema')
    assert 'unet: 0.14 M' in capsys.readouterr().out
    run(ldm_to_diffusers, monkeypatch, file, tmp_path / 'sd', '--weights', 'plain')
    index = json.loads((tmp_path / 'sd/model_index.json').read_text())
    for part in ('unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'):
        assert (tmp_path / 'sd' / part).is_dir() and len(index[part]) == 2
    config = DDIMScheduler.from_pretrained(tmp_path / 'sd', subfolder='scheduler').config
    assert config.steps_offset == 1 and not config.clip_sample


build_large = ldm_to_diffusers.build


def build_small(weights, **settings):
    return build_large(weights, configs=CONFIGS, **settings)


@pytest.mark.parametrize(
    ('module', 'fault'),
    [
        (ldm_to_diffusers, 'is not a Stable Diffusion'),
        (sam_to_transformers, 'is not a Segment Anything checkpoint'),
        (openai_clip_to_transformers, 'is not a CLIP'),
    ],
)
def test_other_files(tmp_path, monkeypatch, module, fault):
    file = tmp_path / 'other.pt'
    torch.save(dict(weight=torch.zeros(2)), file)
    with pytest.raises(SystemExit, match=fault):
        run(module, monkeypatch, file, '--check')
    with pytest.raises(SystemExit):
        run(module, monkeypatch, file, tmp_path)  # exists
    with pytest.raises(SystemExit):
        run(module, monkeypatch, file)  # neither a folder nor --check
