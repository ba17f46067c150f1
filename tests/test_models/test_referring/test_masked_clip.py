import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.referring.masked_clip import (
    MaskedCLIP,
    crop,
    equal_batches,
    resized_positions,
)
from mmdiffseg.models.referring.root_finder import Root


@pytest.fixture(scope='module')
def build(clip):
    return lambda **settings: MaskedCLIP(checkpoint=clip, **settings)


def test_vit_b_16_structure():
    transformers = pytest.importorskip('transformers')
    with torch.device('meta'):
        vision = transformers.CLIPVisionConfig(
            hidden_size=768, intermediate_size=3072, num_attention_heads=12, patch_size=16
        )
        text = transformers.CLIPTextConfig()
        model = transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
        )
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes['vision_model.embeddings.patch_embedding.weight'] == (768, 3, 16, 16)
    assert shapes['vision_model.embeddings.position_embedding.weight'] == (197, 768)
    assert shapes['visual_projection.weight'] == (512, 768)
    assert len(model.vision_model.encoder.layers) == 12
    assert model.vision_model.encoder.layers[0].self_attn.num_heads == 12
    assert sum(p.numel() for p in model.parameters()) == 149_620_737
    positions = resized_positions(torch.zeros(196, 768, device='meta'), (30, 40))
    assert positions.shape == (1200, 768)


def test_positions_of_another_grid():
    table = torch.randn(16, 3)
    assert resized_positions(table, (4, 4)) is table
    square = table.T.reshape(1, 3, 4, 4)
    expected = F.interpolate(square, scale_factor=(5.1 / 4, 7.1 / 4), mode='bicubic')
    assert torch.equal(resized_positions(table, (5, 7)), expected[0].flatten(1).T)
    plain = F.interpolate(square, size=(5, 7), mode='bicubic')[0].flatten(1).T
    assert (resized_positions(table, (5, 7)) - plain).abs().max() > 1e-3


def test_a_square_crop_is_what_transformers_computes(build, image):
    model = build()
    mask = torch.zeros(1, 40, 56, dtype=torch.bool)
    mask[:, 4:36, 10:42] = True
    seen = model.encode_hard(image, mask)
    mean, std = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    pixels = (torch.from_numpy(image[4:36, 10:42] / 255.0).float() - mean) / std
    pooled = model.vision(pixels.permute(2, 0, 1)[None]).pooler_output
    expected = F.normalize(model.clip.visual_projection(pooled), dim=1)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)


def test_crops_are_tight_black_outside_and_resized_by_the_short_side(image):
    mask = np.zeros((40, 56), dtype=bool)
    mask[10:20, 5:30] = True
    mask[10, 5] = False
    picture = crop(image, mask, (5, 10, 29, 19), 10)
    assert picture.size == (25, 10)
    assert (np.asarray(picture)[0, 0] == 0).all()
    assert (np.asarray(picture)[1:] == image[11:20, 5:30]).all()
    assert crop(image, mask, (5, 10, 29, 19), 32).size == (80, 32)
    assert crop(image, mask, (5, 10, 5, 19), 32).size == (32, 320)


@torch.no_grad()
def test_soft_view_against_plain_attention(build, image, masks):
    """Each class token by itself, with attention written out in float64."""
    model = build().double()
    seen = model.encode_soft(image, masks)
    vision = model.vision
    grid = F.interpolate(masks[:, None].double(), size=(5, 7)).flatten(1).bool()
    assert not grid[3].any()  # vanishes between the patches
    tokens = model.tokens(image, copies=1)
    for feature, inside in zip(seen, grid, strict=True):
        visible = torch.ones(36, 36, dtype=torch.bool)
        visible[0, 1:], visible[1:, 0] = inside, False
        x = vision.pre_layrnorm(tokens)
        for layer in vision.encoder.layers:
            attn, y = layer.self_attn, layer.layer_norm1(x)
            q, k, v = (
                p(y).unflatten(1, (2, 8)).transpose(0, 1)
                for p in (attn.q_proj, attn.k_proj, attn.v_proj)
            )
            weights = (q @ k.transpose(1, 2) / math.sqrt(8)).masked_fill(~visible, -math.inf)
            x = x + attn.out_proj((weights.softmax(2) @ v).transpose(0, 1).flatten(1))
            x = x + layer.mlp(layer.layer_norm2(x))
        expected = model.clip.visual_projection(vision.post_layernorm(x[0]))
        torch.testing.assert_close(
            feature.double(), F.normalize(expected, dim=0), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize('view', ['hard', 'soft'])
@torch.no_grad()
def test_masks_do_not_see_each_other(build, image, masks, view):
    model = build(max_batch=2)
    encode = getattr(model, f'encode_{view}')
    alone = torch.cat([encode(image, mask[None]) for mask in masks])
    torch.testing.assert_close(encode(image, masks), alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(4))
    assert (alone[0] - alone[2]).abs().max() > 1e-3


def test_batches_have_one_length():
    lengths = [5, 90, 5, 40, 5, 90, 5]
    groups = list(equal_batches(lengths, 3))
    assert groups == [[0, 2, 4], [6], [1, 5], [3]]


@torch.no_grad()
def test_earlier_layer(build, image, masks):
    last, before = build(), build(vit_output_layer=-2)
    assert len(before.vision.encoder.layers) == 2
    last.vision.encoder.layers = last.vision.encoder.layers[:2]
    for view in ('hard', 'soft'):
        features = [getattr(model, f'encode_{view}')(image, masks) for model in (last, before)]
        assert torch.equal(*features)
    with pytest.raises(ValueError, match=r'vit_output_layer must be in -3 \.\. -1, got -4'):
        build(vit_output_layer=-4)


def test_texts(build):
    model = build()
    features = model.encode_text(['red circle', 'circle'])
    assert features.shape == (2, 8)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(model.encode_text(['circle'])[0], features[1])
    with pytest.raises(ValueError, match='11 tokens and the text encoder reads 10'):
        model.check('red ' * 11, Root('red', 0))
    (note,) = model.check('the zebra', Root('zebra', 4))
    assert "does not know 'zebra', the word that 'the zebra' is about" in note


def test_nothing_to_see(build, image, masks):
    with pytest.raises(ValueError, match='proposal 1 is an empty mask'):
        build().encode_hard(image, masks & torch.tensor([1, 0, 1, 1]).bool()[:, None, None])
    with pytest.raises(ValueError, match='56x7 pixels is smaller than a patch of 8'):
        build().encode_soft(image[:7], masks[:, :7])


def test_missing_folder():
    with pytest.raises(FileNotFoundError, match='there is not a folder nowhere'):
        MaskedCLIP(checkpoint='./nowhere')
