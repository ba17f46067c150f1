import gzip
import json
import runpy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.in_context import CLIPPromptEncoder

transformers = pytest.importorskip('transformers')
ROOT = Path(__file__).parents[2]
CONVERTER = runpy.run_path(str(ROOT / 'tools/model_converters/alpha_clip_to_mmdiffseg.py'))
RELEASED = json.loads(
    gzip.decompress((ROOT / 'tests/data/ref_ldm_seg_released.json.gz').read_bytes())
)['alpha_clip_visual']
WIDTH, PATCH, GRID = 64, 4, 3


@pytest.fixture
def weights():
    """A tower of one layer in the authors' names."""
    torch.manual_seed(0)
    sizes = {1024: WIDTH, 4096: 4 * WIDTH, 3072: 3 * WIDTH, 257: GRID**2 + 1, 14: PATCH, 768: 32}
    return {
        name: torch.randn([sizes.get(n, n) for n in shape]) / 4
        for name, shape in RELEASED.items()
        if 'resblocks' not in name or 'resblocks.0.' in name
    }


def authors_tokens(w, image, mask):
    """The forward pass of the authors' tower, written out."""
    x = F.conv2d(image, w['conv1.weight'], stride=PATCH)
    x = x + F.conv2d(mask, w['conv1_alpha.weight'], stride=PATCH)
    x = x.flatten(2).transpose(1, 2)  # (B, 9, C)
    x = torch.cat([w['class_embedding'].expand(len(x), 1, -1), x], dim=1)
    x = x + w['positional_embedding']

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), w[f'{name}.weight'], w[f'{name}.bias'])

    x = norm(x, 'ln_pre')
    block = {k.removeprefix('transformer.resblocks.0.'): v for k, v in w.items()}
    y = norm(x, 'transformer.resblocks.0.ln_1')
    q, k, v = F.linear(y, block['attn.in_proj.weight'], block['attn.in_proj.bias']).chunk(3, dim=-1)
    y = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
    x = x + F.linear(y, block['attn.out_proj.weight'], block['attn.out_proj.bias'])
    y = norm(x, 'transformer.resblocks.0.ln_2')
    y = F.linear(y, block['mlp.c_fc.weight'], block['mlp.c_fc.bias'])
    y = y * (1.702 * y).sigmoid()
    return x + F.linear(y, block['mlp.c_proj.weight'], block['mlp.c_proj.bias'])


@torch.no_grad()
def test_converted_tower_makes_the_same_tokens(weights, tmp_path):
    torch.save(weights, tmp_path / 'alpha_clip.pth')
    said = CONVERTER['convert_file'](str(tmp_path / 'alpha_clip.pth'), tmp_path / 'tower')
    assert '23 tensors written' in said
    encoder = CLIPPromptEncoder(checkpoint=str(tmp_path / 'tower'))
    size = PATCH * GRID
    assert (encoder.image_size, encoder.grid, encoder.sees_mask) == (size, GRID, True)
    image = torch.rand(2, 1, 3, size, size) * 2 - 1
    mask = torch.randint(2, (2, 1, size, size)).float()
    mask[:, :, 0, 0] = 1
    expected = authors_tokens(weights, image[:, 0], (mask - 0.5) / 0.26)
    torch.testing.assert_close(encoder(image, mask).tokens, expected[:, 1:], rtol=1e-4, atol=1e-4)


def test_released_tower_fits_at_its_real_width():
    weights = {name: torch.empty(shape, device='meta') for name, shape in RELEASED.items()}
    assert len(weights) == 297 and sum(v.numel() for v in weights.values()) == 304_166_912
    converted = CONVERTER['convert'](weights)
    config = transformers.CLIPVisionConfig(**CONVERTER['visible_settings'](converted))
    assert (config.num_attention_heads, config.image_size) == (16, 224)
    with torch.device('meta'):
        model = transformers.CLIPVisionModel(config)
    tower = getattr(model, 'vision_model', model)
    shapes = {name: value.shape for name, value in tower.state_dict().items()}
    assert shapes == {name: value.shape for name, value in converted.items()}


def test_plain_clip_and_damaged_files_are_refused(weights, tmp_path):
    mask = weights.pop('conv1_alpha.weight')
    torch.save(weights, tmp_path / 'clip.pth')
    with pytest.raises(ValueError, match='lacks conv1.weight or conv1_alpha.weight'):
        CONVERTER['convert_file'](str(tmp_path / 'clip.pth'), tmp_path / 'tower')
    weights['conv1_alpha.weight'] = mask
    weights['logit_scale'] = weights.pop('ln_post.bias')
    torch.save(weights, tmp_path / 'changed.pth')
    with pytest.raises(ValueError, match=r'1 missing \(post_layernorm.bias\); 1 unknown'):
        CONVERTER['convert_file'](str(tmp_path / 'changed.pth'), tmp_path / 'tower')
    assert not (tmp_path / 'tower').exists()
