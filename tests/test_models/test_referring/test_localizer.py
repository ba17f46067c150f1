"""Heat maps from cross-attention."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.referring.heat_map import picture_heat, square_image
from mmdiffseg.models.referring.localizer import CrossAttentionLocalizer
from mmdiffseg.models.referring.root_finder import Root, RuleRootTokenFinder

TEXTS = ['red circle on the left', 'a skateboarder', 'dog next to blue square']
DATA = Path(__file__).parents[2] / 'data'


def build(stable_diffusion, **settings):
    settings = dict(image_size=32, capture_stride=4) | settings
    return CrossAttentionLocalizer(checkpoint=stable_diffusion, **settings)


@torch.no_grad()
def locate(localizer, image, texts, draws=None):
    roots = [RuleRootTokenFinder().find(text) for text in texts]
    draws = draws or Draws.named(texts, seed=localizer.seed)
    moments = localizer.encode_image(image)
    return localizer(moments, texts, roots, size=image.shape[:2], draws=draws)


def test_times_and_noise_of_the_released_code(stable_diffusion):
    recorded = np.load(DATA / 'ref_diff_schedule.npz')
    localizer = build(stable_diffusion)
    assert localizer.times.tolist() == [51, 1] and localizer.noise_time == 101
    scheduler = localizer.scheduler
    np.testing.assert_allclose(scheduler.alphas_cumprod, recorded['alphas_cumprod'], atol=1e-6)
    x0, noise = torch.from_numpy(recorded['x0']), torch.from_numpy(recorded['noise'])
    for index in (2, 5):
        noised = scheduler.add_noise(x0, noise, torch.tensor(recorded['times'][index]))
        np.testing.assert_allclose(noised, recorded[f'noised_{index}'], atol=2e-6)
    assert build(stable_diffusion, noise_index=1).noise_time == 51
    assert build(stable_diffusion, strength=0.3).times.tolist() == [251, 201, 151, 101, 51, 1]


@pytest.mark.parametrize('guidance', [9.0, 1.0])
@torch.no_grad()
def test_against_the_plain_way(stable_diffusion, image, guidance):
    """Step by step, one sentence at a time, with all attention of all layers written out."""
    attn_guidance = 9.0 if guidance > 1 else None
    localizer = build(stable_diffusion, guidance=guidance, attn_guidance=attn_guidance)
    noise = torch.randn(3, 2, 4, 16, 16)
    draws = Draws(dict(posterior=noise[:, 0], start=noise[:, 1]))
    ours = locate(localizer, image, TEXTS, draws)

    vae, unet, abar = localizer.vae, localizer.unet, localizer.scheduler.alphas_cumprod
    posterior = vae.encode(square_image(image, 32)).latent_dist
    for heat, text, token, (e1, e2) in zip(ours, TEXTS, (2, 3, 1), noise, strict=True):
        z0 = 0.18215 * (posterior.mean + posterior.std * e1)
        z = abar[101].sqrt() * z0 + (1 - abar[101]).sqrt() * e2
        ids = localizer.tokenizer(
            ['', text + ', '], padding='max_length', truncation=True, return_tensors='pt'
        ).input_ids
        context = localizer.text_encoder(ids).last_hidden_state
        maps, seen = [], []

        def note(layer, args, seen=seen):
            seen.append((layer, args[0]))

        hooks = [
            layer.register_forward_pre_hook(note)
            for name, layer in unet.named_modules()
            if name.endswith('attn2')
        ]
        for t, t_next in ((51, 1), (1, 0)):
            without, with_ = unet(z.repeat(2, 1, 1, 1), t, encoder_hidden_states=context).sample
            eps = without + guidance * (with_ - without)
            x0 = (z - (1 - abar[t]).sqrt() * eps) / abar[t].sqrt()
            z = abar[t_next].sqrt() * x0 + (1 - abar[t_next]).sqrt() * eps
        for m, hidden in seen:
            if hidden.shape[1] == 64:
                q, k = m.head_to_batch_dim(m.to_q(hidden)), m.head_to_batch_dim(m.to_k(context))
                logits = m.scale * q @ k.transpose(1, 2)  # (2 heads, 64, L)
                u, c = logits.unflatten(0, (2, m.heads)).mean(dim=1)
                maps.append((u + guidance * (c - u))[:, token].unflatten(0, (8, 8)))
        for hook in hooks:
            hook.remove()
        assert len(maps) == 8
        # a grey level of 255 may fall to either side
        expected = picture_heat(torch.stack(maps), *image.shape[:2])
        torch.testing.assert_close(heat, expected, atol=0.02, rtol=0)
        assert (heat - expected).abs().mean() < 1e-3


def test_neither_the_batch_nor_its_order_matters(stable_diffusion, image):
    localizer = build(stable_diffusion, resize='bilinear', max_batch=2)
    together = locate(localizer, image, TEXTS)
    assert together.shape == (3, 40, 56) and together.dtype == torch.float64
    close = dict(atol=1e-5, rtol=0)
    turned = locate(localizer, image, TEXTS[::-1]).flip(0)
    torch.testing.assert_close(turned, together, **close)
    torch.testing.assert_close(locate(localizer, image, TEXTS[1:2])[0], together[1], **close)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_seed(stable_diffusion, image):
    first, second = (
        locate(build(stable_diffusion, seed=seed), image, TEXTS[:1]) for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_every_draw_counts(stable_diffusion, image):
    localizer = build(stable_diffusion)
    given = {name: torch.randn(1, 4, 16, 16) for name in ('posterior', 'start')}
    heat = locate(localizer, image, TEXTS[:1], Draws(given))
    assert torch.equal(locate(localizer, image, TEXTS[:1], Draws(given)), heat)
    for name in given:
        changed = Draws(given | {name: torch.randn(1, 4, 16, 16)})
        assert not torch.equal(locate(localizer, image, TEXTS[:1], changed), heat)
        with pytest.raises(KeyError, match=f"'{name}' is not among the recorded draws"):
            rest = {other: value for other, value in given.items() if other != name}
            locate(localizer, image, TEXTS[:1], Draws(rest))


@torch.no_grad()
def test_image_unlike_the_training(stable_diffusion, image):
    localizer = build(stable_diffusion)
    moments = localizer.encode_image(image)
    assert localizer.check_image(moments) == []
    localizer.max_latent_std = moments[0].std().item() / 2
    (note,) = localizer.check_image(moments)
    assert 'unlike those that the model was trained on' in note


def test_paper_settings(stable_diffusion, image):
    paper = dict(attn_type='softmax', attn_guidance=None, resize='bilinear')
    heat = locate(build(stable_diffusion, **paper), image, TEXTS)
    assert heat.isfinite().all() and (heat.amax(dim=(1, 2)) > 0.999).all()


def test_bfloat16(stable_diffusion, image):
    localizer = build(stable_diffusion)
    expected = locate(localizer, image, TEXTS)
    with torch.autocast('cpu', torch.bfloat16):
        near = locate(localizer, image, TEXTS)
    assert near.dtype == torch.float64 and (near - expected).abs().mean() < 0.1


@pytest.mark.parametrize(
    ('settings', 'fault'),
    [
        (dict(attn_type='probs'), "attn_type must be one of .* got 'probs'"),
        (dict(resize='nearest'), 'resize must be one of'),
        (dict(strength=0.01), 'runs 0 of 20 steps: .* at least 1'),
        (dict(strength=1.0), 'runs 20 of 20 steps: .* at most 19'),
        (dict(image_size=34), 'multiple of 4'),
        (dict(capture_stride=32), 'no cross-attention at 16'),
    ],
)
def test_bad_settings(stable_diffusion, settings, fault):
    with pytest.raises(ValueError, match=fault):
        build(stable_diffusion, **settings)


def test_bad_sentences(stable_diffusion):
    localizer = build(stable_diffusion)
    for text, fault in (('zebra', 'knows no word'), ('red ' * 11, '11 tokens')):
        with pytest.raises(ValueError, match=fault):
            localizer.check(text, Root(text, 0))


def test_attention_that_is_not_finite(stable_diffusion, image):
    localizer = build(stable_diffusion)
    localizer.layers[-1].to_q.weight.data[0] = torch.inf
    with pytest.raises(FloatingPointError, match="attention to 'red circle on the left'"):
        locate(localizer, image, TEXTS)
