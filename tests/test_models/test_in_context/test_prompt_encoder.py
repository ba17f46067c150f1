import warnings

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.in_context import CLIPPromptEncoder, EncodedPrompts

pytest.importorskip('transformers')


@pytest.fixture
def build(diffusion_folder):
    """Builds an encoder of one of the towers."""

    def build(tower='clip', **options):
        return CLIPPromptEncoder(checkpoint=str(diffusion_folder / tower), **options)

    return build


@pytest.fixture
def prompts():
    """Two queries with three prompts each, of 96 pixels: twelve for a patch."""
    masks = torch.zeros(2, 3, 96, 96)
    masks[..., 20:40, 30:70] = 1
    masks[1, 2, 60:80] = 1
    return torch.rand(2, 3, 3, 96, 96) * 2 - 1, masks


def test_tokens_are_the_patches_of_the_last_block(build, prompts):
    encoder = build()
    images, masks = prompts
    encoded = encoder(images, masks)
    assert encoded.tokens.shape == (2, 3 * 64, 96) and encoded.mask.shape == (2, 3 * 64)
    pixels = F.interpolate(images[1], (64, 64), mode='bilinear', align_corners=False)
    hidden = encoder.tower(pixels).last_hidden_state  # (3, 65, 96), one query's prompts
    torch.testing.assert_close(encoded.tokens[1], hidden[:, 1:].flatten(0, 1))
    on = masks[:, :, ::12, ::12].flatten(1)
    assert torch.equal(encoded.mask, on) and 0 < on.mean() < 1
    assert not encoded.tokens.requires_grad and not encoder.tower.training


def test_alpha_clip_adds_its_convolution_of_the_mask(build, prompts):
    encoder = build('alpha_clip')
    images, masks = prompts
    seen = []
    encoder.tower.pre_layrnorm.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    encoder(images[:1, :1], masks[:1, :1])
    weight = encoder.tower.embeddings.patch_embedding.weight  # (96, 4, 8, 8)
    pixels = F.interpolate(images[0, :1], (64, 64), mode='bilinear', align_corners=False)
    alpha = (F.interpolate(masks[:1, :1], (64, 64), mode='nearest') - 0.5) / 0.26
    expected = F.conv2d(pixels, weight[:, :3], stride=8) + F.conv2d(alpha, weight[:, 3:], stride=8)
    expected = expected.flatten(2).transpose(1, 2)  # (1, 64, 96)
    positions = encoder.tower.embeddings.position_embedding.weight[1:]
    torch.testing.assert_close(seen[0][:, 1:], expected + positions, rtol=1e-4, atol=1e-5)


def test_clip_normalisation(build, prompts):
    encoder = build(input_norm='clip')
    images, masks = prompts
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    shown = ((images + 1) / 2 - mean) / std
    torch.testing.assert_close(
        encoder(images, masks).tokens, build()(shown, masks).tokens, rtol=1e-3, atol=1e-4
    )


def test_small_objects_need_any(build):
    images, masks = torch.zeros(1, 1, 3, 96, 96), torch.zeros(1, 1, 96, 96)
    masks[..., 25:35, 25:35] = 1  # between the first pixels of patches
    with pytest.warns(UserWarning, match='attends to all of it, background included'):
        encoder = build()
        assert encoder(images, masks).mask.sum() == 0
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        encoder(images, masks)  # said once
        mask = build(token_mask='any')(images, masks).mask.view(8, 8)
    assert mask.nonzero().tolist() == [[2, 2]]
    assert build(token_mask='none')(images, masks).mask.min() == 1


def test_one_empty_prompt_among_others_is_no_matter(build, prompts):
    images, masks = prompts
    masks[0, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        build()(images, masks)


def test_masked_mean(build, prompts):
    images, masks = prompts
    masks[0, 2] = 0
    encoded, tokens = build(pool='masked_mean')(images, masks), build()(images, masks).tokens
    assert encoded.tokens.shape == (2, 3, 96)
    on = masks[1, 0, ::12, ::12].flatten() == 1
    torch.testing.assert_close(encoded.tokens[1, 0], tokens[1, :64][on].mean(dim=0))
    assert encoded.mask.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_null_tokens_are_those_of_a_grey_picture(build):
    encoder = build('alpha_clip')
    grey = encoder(torch.zeros(1, 1, 3, 64, 64), torch.ones(1, 1, 64, 64)).tokens
    with torch.autocast('cpu', torch.bfloat16), torch.inference_mode():
        encoder.null_tokens(grey)  # kept, and yet as good as in training
    null = encoder.null_tokens(torch.empty(2, 3 * 64, 96))
    torch.testing.assert_close(null, grey.repeat(2, 3, 1))
    assert not null.is_inference()


def test_prompts_of_one_query_serve_a_batch():
    encoded = EncodedPrompts(torch.rand(1, 6, 4), torch.ones(1, 6)).expand(5)
    assert encoded.tokens.shape == (5, 6, 4) and encoded.mask.shape == (5, 6)
    with pytest.raises(ValueError, match='prompts for 5 queries meet a batch of 2'):
        encoded.expand(2)


def test_wrong_input_is_refused(build, prompts, diffusion_folder):
    images, masks = prompts
    with pytest.raises(ValueError, match='each image needs a mask of its size'):
        build()(images, masks[..., :50])
    with pytest.raises(ValueError, match="pool must be one of .* got 'max'"):
        build(pool='max')
    with pytest.raises(FileNotFoundError, match='no CLIP folder'):
        build('nowhere/deeper')
    with pytest.raises(FileNotFoundError, match='lacks config.json'):
        build('.')
