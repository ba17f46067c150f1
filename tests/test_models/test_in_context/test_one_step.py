import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context import EncodedPrompts

pytest.importorskip('diffusers')
SHAPE = (2, 4, 16, 16)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    labels = torch.randint(2, (2, 64, 64))
    prompts = EncodedPrompts(torch.randn(2, 8, 96), torch.ones(2, 8))
    return torch.rand(2, 3, 64, 64) * 2 - 1, labels, prompts


def latent(model, picture, noise):
    posterior = model.vae.encode(picture).latent_dist
    return (posterior.mean + posterior.std * noise) * 0.18215


def loss(model, batch, **options):
    query, labels, prompts = batch
    target = model.pseudo_mask.encode(labels, query)
    return model.mask_loss(query, labels, prompts, draws=Draws(**options)), target


def test_latent_loss_is_that_of_a_single_clean_step(build_ref_ldm_seg, batch):
    model = build_ref_ldm_seg(pseudo_mask=dict(mask_alpha=0.4))
    noise = dict(mask=torch.randn(SHAPE), query=torch.randn(SHAPE))
    losses, target = loss(model, batch, given=noise)
    query, _, (tokens, mask) = batch
    estimate = model.unet(
        latent(model, query, noise['query']),
        0,
        encoder_hidden_states=tokens,
        encoder_attention_mask=mask,
    ).sample
    expected = F.mse_loss(estimate, latent(model, target, noise['mask']))
    torch.testing.assert_close(losses['loss_latent'], expected)
    # drawn in the released order, the mask's before the query's
    generator = torch.Generator().manual_seed(1)
    drawn = {name: torch.randn(SHAPE, generator=generator) for name in ('mask', 'query')}
    again = loss(model, batch, generator=torch.Generator().manual_seed(1))[0]
    assert torch.equal(again['loss_latent'], loss(model, batch, given=drawn)[0]['loss_latent'])


def test_pixel_loss_goes_through_the_frozen_decoder(build_ref_ldm_seg, batch):
    model = build_ref_ldm_seg(
        loss_space='pixel',
        pseudo_mask=dict(mask_alpha=0.4),
    )
    noise = dict(mask=torch.zeros(SHAPE), query=torch.randn(SHAPE))
    losses, target = loss(model, batch, given=noise)
    draws = Draws(noise)
    estimate = model.mask_latent(batch[0], batch[2], draws=draws)
    picture = model.vae.decode(estimate / 0.18215).sample
    torch.testing.assert_close(losses['loss_pixel'], F.mse_loss(picture, target))
    losses['loss_pixel'].backward()
    assert model.unet.conv_out.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.vae.parameters())

    model.ignore_in_loss = True
    batch[1][:, 7:] = 255
    target = model.pseudo_mask.encode(batch[1], batch[0])
    half = loss(model, batch, given=noise)[0]['loss_pixel']
    torch.testing.assert_close(half, F.mse_loss(picture[:, :, :7], target[:, :, :7]))


@pytest.mark.parametrize('noise_t', [300, (20, 900)])
def test_noise_on_the_query(build_ref_ldm_seg, batch, noise_t):
    model = build_ref_ldm_seg(noise_t=noise_t)
    noise = {name: torch.randn(SHAPE) for name in ('mask', 'query', 'eps')}
    t = torch.tensor([300, 300]) if noise_t == 300 else torch.tensor([20, 900])
    query, _, (tokens, mask) = batch
    estimate = model.mask_latent(query, batch[2], draws=Draws(dict(noise, t=t)))
    abar = model.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    z = abar.sqrt() * latent(model, query, noise['query']) + (1 - abar).sqrt() * noise['eps']
    expected = model.unet(z, t, encoder_hidden_states=tokens, encoder_attention_mask=mask).sample
    torch.testing.assert_close(estimate, expected)
    some = Draws(noise, generator=torch.Generator().manual_seed(0))
    drawn = model.mask_latent(query, batch[2], draws=some)
    assert torch.allclose(drawn, expected, atol=1e-4) == (noise_t == 300)


def test_mode_at_test_time_draws_nothing(build_ref_ldm_seg, batch):
    model = build_ref_ldm_seg(latent_eval='mode')
    expected = model.mask_latent(batch[0], batch[2], draws=Draws({}))
    model.latent_eval = 'sample'
    draws = Draws(dict(query=torch.zeros(SHAPE)))
    sampled = model.mask_latent(batch[0], batch[2], draws=draws)
    assert torch.equal(sampled, expected)


def test_bad_settings_are_refused(build_ref_ldm_seg):
    for settings, message in [
        (dict(loss_space='rgb'), "must be 'latent' or 'pixel', got 'rgb'"),
        (dict(latent_eval='mean'), "must be 'sample' or 'mode', got 'mean'"),
        (dict(ignore_in_loss=True), "needs loss_space='pixel'"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_ref_ldm_seg(**settings)
    with pytest.raises(ValueError, match=r'must lie in 0..999, got \(5, 1000\)'):
        build_ref_ldm_seg(noise_t=(5, 1000))
