import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.in_context import EncodedPrompts, MultiStep
from mmdiffseg.models.in_context.draws import Draws

pytest.importorskip('diffusers')
SHAPE = (4, 4, 16, 16)
META = dict(type='mmdiffseg.MultiStep', steps=3)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    query, target = torch.rand(2, 4, 3, 64, 64) * 2 - 1
    mask = torch.ones(4, 128)
    mask[:, ::3] = 0
    return query, target, EncodedPrompts(torch.randn(4, 128, 96), mask)


@pytest.fixture
def build(build_ref_ldm_seg):
    """Builds a model whose first convolution makes use of the query."""

    def build(**options):
        model = build_ref_ldm_seg(meta_arch=dict(META, **options)).eval()
        torch.nn.init.normal_(model.unet.conv_in.weight, std=0.1)
        return model

    return build


def call(model, z, condition, t, tokens, mask):
    return model.unet(
        torch.cat([z, condition], dim=1),
        t,
        encoder_hidden_states=tokens,
        encoder_attention_mask=mask,
    ).sample


@pytest.mark.parametrize('null_mask', ['prompt', 'ones'])
@torch.no_grad()
def test_loss_is_that_of_the_noise_with_dropped_conditions(build, batch, null_mask):
    model = build(cond_drop_prob=0.1, null_mask=null_mask)
    query, target, prompts = batch
    noise = dict(mask=torch.randn(SHAPE), eps=torch.randn(SHAPE))
    # nothing, the prompt, both, the query
    noise.update(t=torch.tensor([0, 5, 500, 999]), drop=torch.tensor([0.3, 0.0999, 0.1, 0.2]))
    losses = model.meta_arch.loss(model, query, target, prompts, draws=Draws(noise), valid=None)
    posterior = model.vae.encode(target).latent_dist
    z = (posterior.mean + posterior.std * noise['mask']) * 0.18215
    abar = model.scheduler.alphas_cumprod[noise['t']].view(-1, 1, 1, 1)
    z_t = abar.sqrt() * z + (1 - abar).sqrt() * noise['eps']
    condition = model.vae.encode(query).latent_dist.mean.clone()  # not scaled
    condition[2:] = 0
    tokens, mask = (part.clone() for part in prompts)
    grey = model.encode_prompts(torch.zeros(1, 1, 3, 64, 64), torch.ones(1, 1, 64, 64)).tokens
    tokens[1:3] = grey.repeat(1, 2, 1)
    if null_mask == 'ones':
        mask[1:3] = 1
    expected = F.mse_loss(call(model, z_t, condition, noise['t'], tokens, mask), noise['eps'])
    torch.testing.assert_close(losses['loss_eps'], expected)


@torch.no_grad()
def test_draws_come_in_the_released_order(build, batch):
    model = build()

    def loss(draws):
        return model.meta_arch.loss(model, *batch, draws=draws, valid=None)['loss_eps']

    generator = torch.Generator().manual_seed(1)
    drawn = {name: torch.randn(SHAPE, generator=generator) for name in ('mask', 'eps')}
    drawn['t'] = torch.randint(1000, (4,), generator=generator)
    drawn['drop'] = torch.rand(4, generator=generator)
    assert torch.equal(loss(Draws(drawn)), loss(Draws(generator=generator.manual_seed(1))))


@torch.no_grad()
def test_velocity_where_the_schedule_says_so(build, batch):
    model = build(cond_drop_prob=0.0)
    model.scheduler.register_to_config(prediction_type='v_prediction')
    t = torch.tensor([100, 300, 500, 700])
    noise = dict(mask=torch.randn(SHAPE), eps=torch.randn(SHAPE), t=t, drop=torch.zeros(4))
    query, target, prompts = batch
    losses = model.meta_arch.loss(model, query, target, prompts, draws=Draws(noise), valid=None)
    posterior = model.vae.encode(target).latent_dist
    z = (posterior.mean + posterior.std * noise['mask']) * 0.18215
    abar = model.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    alpha, sigma = abar.sqrt(), (1 - abar).sqrt()
    condition = model.vae.encode(query).latent_dist.mean
    output = call(model, alpha * z + sigma * noise['eps'], condition, t, *prompts)
    torch.testing.assert_close(
        losses['loss_eps'], F.mse_loss(output, alpha * noise['eps'] - sigma * z)
    )


@torch.no_grad()
def test_one_batch_of_three_branches_equals_three_calls_and_the_formula(build, batch):
    """DDPM written out (spec of the released sampler), against diffusers' in our loop."""
    model = build(steps=4, guidance=dict(query=1.5, prompt=7.0))
    query, _, (tokens, mask) = batch
    z = start = torch.randn(SHAPE)
    sampled = model.meta_arch.sample(
        model,
        query,
        EncodedPrompts(tokens, mask),
        draws=Draws(dict(start=start), generator=torch.Generator().manual_seed(2)),
    )
    generator = torch.Generator().manual_seed(2)
    condition = model.vae.encode(query).latent_dist.mean
    null = model.prompt_encoder.null_tokens(tokens)
    abars = model.scheduler.alphas_cumprod
    for t in (751, 501, 251, 1):
        eps_full = call(model, z, condition, t, tokens, mask)
        eps_query = call(model, z, condition, t, null, mask)
        eps_null = call(model, z, torch.zeros_like(condition), t, null, mask)
        eps = eps_null + 1.5 * (eps_query - eps_null) + 7.0 * (eps_full - eps_query)
        abar, previous = abars[t], abars[t - 250] if t > 250 else torch.tensor(1.0)
        a = abar / previous
        x0 = (z - (1 - abar).sqrt() * eps) / abar.sqrt()
        mean = previous.sqrt() * (1 - a) / (1 - abar) * x0
        mean = mean + a.sqrt() * (1 - previous) / (1 - abar) * z
        variance = ((1 - a) * (1 - previous) / (1 - abar)).clamp(min=1e-20)
        z = mean + variance.sqrt() * torch.randn(SHAPE, generator=generator)
    torch.testing.assert_close(sampled, z, rtol=1e-3, atol=1e-3 * z.abs().max().item())


@torch.no_grad()
def test_scale_below_one_leaves_the_conditional_branch(build, batch):
    model = build(guidance=dict(query=1.5, prompt=0.9), sampler=dict(type='DDIMScheduler'))
    sizes = []
    model.unet.register_forward_pre_hook(lambda unet, args: sizes.append(len(args[0])))
    draws = Draws(dict(start=torch.randn(SHAPE)))
    sampled = model.meta_arch.sample(model, batch[0], batch[2], draws=draws)
    assert sizes == [4, 4, 4]
    z, condition = draws.given['start'], model.vae.encode(batch[0]).latent_dist.mean
    scheduler = model.meta_arch.sampler
    for t in scheduler.timesteps:
        z = scheduler.step(call(model, z, condition, t, *batch[2]), t, z).prev_sample
    torch.testing.assert_close(sampled, z)


@pytest.mark.parametrize('sampler', ['EulerDiscreteScheduler', 'DPMSolverMultistepScheduler'])
@torch.no_grad()
def test_samplers_of_diffusers(build, batch, sampler):
    model = build(sampler=dict(type=sampler))
    query, _, prompts = batch
    draws = Draws(dict(start=torch.randn(SHAPE)))
    runs = [model.meta_arch.sample(model, query, prompts, draws=draws) for _ in range(2)]
    assert torch.equal(*runs) and runs[0].isfinite().all()


def test_bad_settings_are_refused(build):
    for settings, message in [
        (dict(cond_drop_prob=0.5), r'must lie in \[0, 1/3\], got 0.5'),
        (dict(null_mask='zeros'), "must be 'prompt' or 'ones', got 'zeros'"),
        (dict(steps=0), 'at least 1, got 0'),
        (dict(guidance=dict(query=2.0)), 'needs the scales query and prompt'),
    ]:
        with pytest.raises(ValueError, match=message):
            MultiStep(**settings)
    with pytest.raises(ValueError, match="no scheduler 'Euler'"):
        build(sampler=dict(type='Euler'))
