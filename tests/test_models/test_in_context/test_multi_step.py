import json

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context import EncodedPrompts

pytest.importorskip('diffusers')
SHAPE = (4, 4, 16, 16)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    query = torch.rand(4, 3, 64, 64) * 2 - 1
    labels = torch.randint(2, (4, 64, 64))
    mask = torch.ones(4, 128)
    mask[:, ::3] = 0
    return query, labels, EncodedPrompts(torch.randn(4, 128, 96), mask)


@pytest.fixture
def build(build_ref_ldm_seg):
    """Builds a model whose first convolution makes use of the query."""

    def build(**options):
        model = build_ref_ldm_seg('MultiStep', **{'steps': 3, **options}).eval()
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


@torch.no_grad()
def test_loss_is_that_of_the_noise_with_dropped_conditions(build, batch):
    model = build(cond_drop_prob=0.1)
    query, labels, prompts = batch
    noise = dict(mask=torch.randn(SHAPE), eps=torch.randn(SHAPE))
    # nothing, the prompt, both, the query
    noise.update(t=torch.tensor([0, 5, 500, 999]), drop=torch.tensor([0.3, 0.0999, 0.1, 0.2]))
    losses = model.mask_loss(query, labels, prompts, draws=Draws(noise))
    posterior = model.vae.encode(model.pseudo_mask.encode(labels, query)).latent_dist
    z = (posterior.mean + posterior.std * noise['mask']) * 0.18215
    abar = model.scheduler.alphas_cumprod[noise['t']].view(-1, 1, 1, 1)
    z_t = abar.sqrt() * z + (1 - abar).sqrt() * noise['eps']
    condition = model.vae.encode(query).latent_dist.mean.clone()  # not scaled
    condition[2:] = 0
    tokens, mask = prompts.tokens.clone(), prompts.mask
    grey = model.encode_prompts(torch.zeros(1, 1, 3, 64, 64), torch.ones(1, 1, 64, 64)).tokens
    tokens[1:3] = grey.repeat(1, 2, 1)
    expected = F.mse_loss(call(model, z_t, condition, noise['t'], tokens, mask), noise['eps'])
    torch.testing.assert_close(losses['loss_eps'], expected)


@torch.no_grad()
def test_draws_come_in_the_released_order(build, batch):
    model = build()

    def loss(draws):
        return model.mask_loss(*batch, draws=draws)['loss_eps']

    generator = torch.Generator().manual_seed(1)
    drawn = {name: torch.randn(SHAPE, generator=generator) for name in ('mask', 'eps')}
    drawn['t'] = torch.randint(1000, (4,), generator=generator)
    drawn['drop'] = torch.rand(4, generator=generator)
    assert torch.equal(loss(Draws(drawn)), loss(Draws(generator=generator.manual_seed(1))))


@pytest.fixture
def predicting(diffusion_folder, tmp_path):
    """Makes a copy of the folder whose schedule names another prediction."""

    def predicting(kind):
        for name in ('vae', 'unet'):
            (tmp_path / name).symlink_to(diffusion_folder / name)
        config = json.loads((diffusion_folder / 'scheduler/scheduler_config.json').read_text())
        (tmp_path / 'scheduler').mkdir()
        path = tmp_path / 'scheduler/scheduler_config.json'
        path.write_text(json.dumps(dict(config, prediction_type=kind)))
        return str(tmp_path)

    return predicting


@pytest.mark.parametrize('kind', ['v_prediction', 'sample'])
@torch.no_grad()
def test_the_schedule_says_what_is_predicted(build, batch, predicting, kind):
    model = build(stable_diffusion=predicting(kind), cond_drop_prob=0.0)
    t = torch.tensor([100, 300, 500, 700])
    noise = dict(mask=torch.randn(SHAPE), eps=torch.randn(SHAPE), t=t, drop=torch.zeros(4))
    query, labels, prompts = batch
    losses = model.mask_loss(query, labels, prompts, draws=Draws(noise))
    posterior = model.vae.encode(model.pseudo_mask.encode(labels, query)).latent_dist
    z = (posterior.mean + posterior.std * noise['mask']) * 0.18215
    abar = model.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    alpha, sigma = abar.sqrt(), (1 - abar).sqrt()
    condition = model.vae.encode(query).latent_dist.mean
    output = call(model, alpha * z + sigma * noise['eps'], condition, t, *prompts)
    target = z if kind == 'sample' else alpha * noise['eps'] - sigma * z
    torch.testing.assert_close(losses['loss_eps'], F.mse_loss(output, target))
    assert model.sampler.config.prediction_type == kind


@torch.no_grad()
def test_one_batch_of_three_branches_equals_three_calls_and_the_formula(build, batch):
    """DDPM written out (spec of the released sampler), against diffusers' in our loop."""
    model = build(steps=4, guidance=dict(query=1.5, prompt=7.0))
    query, _, (tokens, mask) = batch
    z = start = torch.randn(SHAPE)
    seeded = Draws(dict(start=start), generator=torch.Generator().manual_seed(2))
    sampled = model.mask_latent(query, EncodedPrompts(tokens, mask), draws=seeded)
    generator = torch.Generator().manual_seed(2)
    noise = {f'step{i}': torch.randn(SHAPE, generator=generator) for i in range(4)}
    condition = model.vae.encode(query).latent_dist.mean
    null = model.prompt_encoder.null_tokens(tokens)
    abars = model.scheduler.alphas_cumprod
    for i, t in enumerate((751, 501, 251, 1)):
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
        z = mean + variance.sqrt() * noise[f'step{i}']
    torch.testing.assert_close(sampled, z, rtol=1e-3, atol=1e-3 * z.abs().max().item())
    recorded = Draws(dict(noise, start=start))
    replayed = model.mask_latent(query, EncodedPrompts(tokens, mask), draws=recorded)
    assert torch.equal(replayed, sampled)
    with pytest.raises(KeyError, match="'step0' is not among the recorded draws"):
        model.mask_latent(query, EncodedPrompts(tokens, mask), draws=Draws(dict(start=start)))


@torch.no_grad()
def test_scale_below_one_leaves_the_conditional_branch(build, batch):
    model = build(guidance=dict(query=1.5, prompt=0.9), sampler=dict(type='DDIMScheduler'))
    sizes = []
    model.unet.register_forward_pre_hook(lambda unet, args: sizes.append(len(args[0])))
    draws = Draws(dict(start=torch.randn(SHAPE)))
    sampled = model.mask_latent(batch[0], batch[2], draws=draws)
    assert sizes == [4, 4, 4]
    z, condition = draws.given['start'], model.vae.encode(batch[0]).latent_dist.mean
    scheduler = model.sampler
    for t in scheduler.timesteps:
        z = scheduler.step(call(model, z, condition, t, *batch[2]), t, z).prev_sample
    torch.testing.assert_close(sampled, z)


@pytest.mark.parametrize('sampler', ['EulerDiscreteScheduler', 'DPMSolverMultistepScheduler'])
@torch.no_grad()
def test_samplers_of_diffusers(build, batch, sampler):
    model = build(sampler=dict(type=sampler))
    query, _, prompts = batch
    draws = Draws(dict(start=torch.randn(SHAPE)))
    runs = [model.mask_latent(query, prompts, draws=draws) for _ in range(2)]
    assert torch.equal(*runs) and runs[0].isfinite().all()


@pytest.mark.parametrize('sampler', ['EulerAncestralDiscreteScheduler', 'LCMScheduler'])
@torch.no_grad()
def test_every_sampler_draws_by_name(build, batch, sampler):
    model = build(sampler=dict(type=sampler))
    query, _, prompts = batch
    noise = {name: torch.randn(SHAPE) for name in ('start', 'step0', 'step1', 'step2')}
    sampled = model.mask_latent(query, prompts, draws=Draws(noise))
    alone = []
    for i in range(4):
        part = EncodedPrompts(*(p[i : i + 1] for p in prompts))
        row = Draws(noise).select([i], of=4)
        alone.append(model.mask_latent(query[i : i + 1], part, draws=row))
    torch.testing.assert_close(torch.cat(alone), sampled, rtol=1e-3, atol=1e-3)
    noise['step1'] = -noise['step1']
    other = model.mask_latent(query, prompts, draws=Draws(noise))
    assert not torch.allclose(other, sampled, atol=1e-2)


def test_bad_settings_are_refused(build):
    for settings, message in [
        (dict(cond_drop_prob=0.5), r'must lie in \[0, 1/3\], got 0.5'),
        (dict(steps=0), 'at least 1, got 0'),
        (dict(guidance=dict(query=2.0)), 'needs the scales query and prompt'),
    ]:
        with pytest.raises(ValueError, match=message):
            build(**settings)
    with pytest.raises(ValueError, match="no scheduler 'Euler'"):
        build(sampler=dict(type='Euler'))
