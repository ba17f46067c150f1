import math
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion import (
    AbsorbingDiffusion,
    BernoulliDiffusion,
    CCDMCosineBetas,
    CCDMLinearBetas,
    CosineBetas,
    CosineLogSNR,
    Draws,
    LinearBetas,
    UniformDiffusion,
)
from mmdiffseg.registry import NOISE_SCHEDULES

DATA = Path(__file__).parents[1] / 'data'
RECORDED = torch.load(DATA / 'categorical.pt')
LINEAR = torch.load(DATA / 'ccdm_linear.pt')
POSTERIORS = {**RECORDED['posterior'], 'linear_T250_K4': LINEAR['posterior']}
EXACT = dict(rtol=0, atol=1e-12)


def uniform(num_classes, num_timesteps=250, **options):
    schedule = CosineBetas(num_timesteps=num_timesteps)
    return UniformDiffusion(num_classes=num_classes, schedule=schedule, **options)


def absorbing(num_classes, num_timesteps=250):
    schedule = CosineBetas(num_timesteps=num_timesteps)
    return AbsorbingDiffusion(num_classes=num_classes, schedule=schedule)


def gumbel(shape, *, seed):
    return Draws(generator=torch.Generator().manual_seed(seed)).gumbel('noise', shape)


def probabilities(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).double().softmax(1)


@pytest.fixture(params=POSTERIORS.items(), ids=lambda item: item[0])
def case(request):
    """A recording, and the diffusion that made it, with consistent or with released tables."""
    name, case = request.param
    kind, timesteps, classes = name.split('_')
    own, released = {
        'cosine': (CosineBetas, CCDMCosineBetas),
        'linear': (partial(LinearBetas, ends=(0.01, 0.2)), CCDMLinearBetas),
    }[kind]

    def build(tables):
        schedule = (released if tables == 'ccdm' else own)(num_timesteps=int(timesteps[1:]))
        return UniformDiffusion(num_classes=int(classes[1:]), schedule=schedule)

    return case, build


def test_posterior_equals_the_recorded_one(case):
    case, build = case
    diffusion, expected = build('consistent'), case['ours64']
    t, z_t = case['t'] - 1, case['xt']
    x0, p = diffusion.one_hot(case['x0']).double(), case['theta_x0'].double()
    torch.testing.assert_close(diffusion.marginal(x0, t), expected['q_xt_given_x0'], **EXACT)
    for clean, s, key in (
        (x0, t - 1, 'posterior_onehot'),
        (p, t - 1, 'posterior'),
        (p, expected['jump_s'] - 1, 'posterior_jump'),
    ):
        torch.testing.assert_close(diffusion.posterior(z_t, clean, t, s), expected[key], **EXACT)


def test_released_tables_give_what_the_release_computed(case):
    case, build = case
    diffusion, expected = build('ccdm'), case['ref64']
    t, one_hot = case['t'] - 1, lambda labels: diffusion.one_hot(labels).double()
    for value, key, atol in (
        (diffusion.marginal(one_hot(case['x0']), t), 'q_xt_given_x0', 1e-12),
        # the release's alpha + beta is 1 in float32 only
        (diffusion.transition(one_hot(case['xtm1']), t - 1, t), 'q_xt_given_xtm1', 1e-7),
        (diffusion.posterior(case['xt'], one_hot(case['x0']), t, t - 1), 'theta_post', 1e-12),
        (
            diffusion.posterior(case['xt'], case['theta_x0'].double(), t, t - 1),
            'theta_post_prob',
            1e-12,
        ),
    ):
        torch.testing.assert_close(value, expected[key], rtol=0, atol=atol)


@pytest.mark.parametrize('chain', RECORDED['chains'].values(), ids=RECORDED['chains'])
def test_recorded_chains_are_replayed(chain):
    timesteps, noise = chain['T'], chain['gumbel']
    diffusion = UniformDiffusion(
        num_classes=chain['K'], schedule=CCDMCosineBetas(num_timesteps=timesteps), skip='ccdm'
    )
    z = diffusion.start(noise[0])
    pairs = diffusion.time_pairs(len(chain['times']))
    assert [now + 1 for now, _ in pairs] == chain['times'].tolist()
    for i, (t, s) in enumerate(torch.tensor(pairs)[..., None]):
        assert (z == chain['x_in'][i]).all()
        maps = torch.cat([diffusion.one_hot(z), chain['image']], dim=1)
        logits = F.conv2d(maps, chain['weight'], chain['bias'], padding=1)
        logits = logits + chain['time_bias'][:, None, None] * ((t + 1) / timesteps)
        probs = diffusion.posterior(z, logits.softmax(dim=1), t, s)
        if i + 1 < len(pairs):
            z = diffusion.draw(probs, noise[i + 1])
    if chain['last_step'] == 'majority':
        assert (probs.argmax(dim=1) == chain['final'].argmax(dim=1)).all()
    else:
        torch.testing.assert_close(probs, chain['final'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('classes', [2, 3, 20])
@pytest.mark.parametrize('make', [uniform, absorbing])
def test_posterior_is_bayes_rule_summed_by_brute_force(make, classes):
    diffusion = make(classes, 30)
    p = probabilities(2, classes, 3, 4)
    states = diffusion.num_states
    z_t = torch.randint(states, (2, 3, 4), generator=torch.Generator().manual_seed(1))
    t, s = torch.tensor([20, 29]), torch.tensor([4, 11])
    eye = torch.eye(states).double()[:, :, None, None]  # every state as a map of one pixel
    expected = torch.zeros(2, states, 3, 4).double()
    for b in range(2):
        from_s = diffusion.transition(eye, s[b, None], t[b, None])[..., 0, 0]  # (s, t)
        at_s = diffusion.marginal(eye, s[b, None])[..., 0, 0]  # (clean, s)
        # q(z_s | z_t, x0) = q(z_t | z_s) q(z_s | x0) / sum over z_s
        joint = from_s[None] * at_s[:, :, None]  # (clean, s, t)
        evidence = joint.sum(dim=1, keepdim=True)
        bayes = torch.where(evidence > 0, joint / evidence, 0)[:classes]
        expected[b] = torch.einsum('dhw,dshw->shw', p[b], bayes[..., z_t[b]])
    seen = (z_t < classes)[:, None]
    actual = diffusion.posterior(z_t, p, t, s)
    if make is absorbing:  # where a pixel is seen, brute force knows its class and p does not
        expected = torch.where(seen, diffusion.one_hot(z_t).double(), expected)
    torch.testing.assert_close(actual, expected, **EXACT)


@pytest.mark.parametrize('make', [uniform, absorbing])
def test_a_jump_is_the_composition_of_its_steps(make):
    diffusion = make(4, 30)
    x0 = torch.arange(4).view(1, 2, 2)
    clean = diffusion.one_hot(x0).double()
    s, u, t = (torch.tensor([time]) for time in (3, 17, 28))
    step = diffusion.transition(diffusion.transition(clean, s, u), u, t)
    torch.testing.assert_close(step, diffusion.transition(clean, s, t), **EXACT)
    # Chapman-Kolmogorov: the posterior averaged over z_t is the marginal at s
    at_t = diffusion.marginal(clean, t)
    average = sum(
        at_t[:, state, None] * diffusion.posterior(torch.full_like(x0, state), clean, t, s)
        for state in range(diffusion.num_states)
    )
    torch.testing.assert_close(average, diffusion.marginal(clean, s), **EXACT)


def test_linear_tables_are_the_released_ones():
    tables, schedule = LINEAR['tables'], CCDMLinearBetas(num_timesteps=250)
    torch.testing.assert_close(schedule.betas, tables['betas'].double(), rtol=0, atol=1e-7)
    assert torch.equal(schedule.alphas_cumprod, tables['cumalphas'].double())
    exact = LinearBetas(num_timesteps=250, ends=(0.01, 0.2))
    torch.testing.assert_close(exact.alphas_cumprod, tables['abar'], **EXACT)
    with pytest.raises(ValueError, match='must be above 0, got 0'):
        CCDMLinearBetas(num_timesteps=0)
    with pytest.raises(ValueError, match=r'betas must lie in \(0, 1\)'):
        LinearBetas(ends=(0.0, 0.2))
    with pytest.raises(ValueError, match='ends=0.1 must be two betas'):
        LinearBetas(ends=0.1)


def test_soft_x0_puts_the_probabilities_in_place_of_the_label():
    mean = uniform(4, parametrization='expected')
    soft = uniform(4, parametrization='soft_x0')
    z_t, t, s = torch.arange(6).view(1, 2, 3) % 4, torch.tensor([200]), torch.tensor([20])
    p, sure = probabilities(1, 4, 2, 3), mean.one_hot(torch.ones(1, 2, 3).long()).double()
    kept = mean.schedule.alphas_cumprod
    like = kept[t] / kept[s] * mean.one_hot(z_t).double() + (1 - kept[t] / kept[s]) / 4
    joint = like * (kept[s] * p + (1 - kept[s]) / 4)
    expected = joint / joint.sum(dim=1, keepdim=True)
    torch.testing.assert_close(soft.posterior(z_t, p, t, s), expected, **EXACT)
    assert not torch.allclose(mean.posterior(z_t, p, t, s), expected, atol=0.01)
    # where the network is sure, both are Bayes' rule
    torch.testing.assert_close(
        soft.posterior(z_t, sure, t, s), mean.posterior(z_t, sure, t, s), **EXACT
    )


@pytest.mark.parametrize(
    'options', [dict(), dict(skip='ccdm'), dict(parametrization='soft_x0')], ids=str
)
def test_bernoulli_equals_two_classes(options):
    schedule = CosineBetas(num_timesteps=40)
    one = BernoulliDiffusion(schedule=schedule, **options)
    two = UniformDiffusion(num_classes=2, schedule=schedule, **options)
    p = probabilities(3, 2, 5, 6)
    labels = torch.randint(2, (3, 5, 6), generator=torch.Generator().manual_seed(3))
    labels[0, 0] = 255
    t, s = torch.tensor([0, 13, 39]), torch.tensor([-1, 12, 5])
    noise = gumbel((3, 2, 5, 6), seed=4)
    z_t = one.corrupt(labels, t, noise)
    assert (z_t == two.corrupt(labels, t, noise)).all()
    assert (one.start(noise) == two.start(noise)).all()
    torch.testing.assert_close(
        one.posterior(z_t, p[:, 1:], t, s), two.posterior(z_t, p, t, s)[:, 1:], **EXACT
    )


@pytest.mark.parametrize('make', [uniform, absorbing])
@pytest.mark.parametrize('steps', [1, 2, 7, 50])
def test_a_perfect_denoiser_gives_the_clean_map_in_any_number_of_steps(make, steps):
    diffusion = make(5, 50)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (2, 6, 6), generator=generator)
    draws = Draws(generator=generator)
    shape = (2, diffusion.num_states, 6, 6)
    clean = F.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    z = diffusion.start(draws.gumbel('noise', shape))
    for t, s in torch.tensor(diffusion.time_pairs(steps))[..., None]:
        z = diffusion.draw(diffusion.posterior(z, clean, t, s), draws.gumbel('noise', shape))
    assert (z == labels).all()


def test_permuted_classes_permute_the_posterior():
    diffusion, order = uniform(4), torch.tensor([2, 0, 3, 1])
    p, t, s = probabilities(1, 4, 3, 3), torch.tensor([200]), torch.tensor([20])
    z_t = torch.arange(9).view(1, 3, 3) % 4
    permuted = diffusion.posterior(order.argsort()[z_t], p[:, order], t, s)
    torch.testing.assert_close(permuted, diffusion.posterior(z_t, p, t, s)[:, order], **EXACT)


def test_draws_have_the_frequencies_of_the_marginal():
    diffusion, t = uniform(3), torch.tensor([124])
    noise = gumbel((1, 3, 200, 200), seed=0)
    z = diffusion.corrupt(torch.full((1, 200, 200), 2), t, noise)
    share = torch.bincount(z.flatten(), minlength=3) / z.numel()
    expected = diffusion.marginal(torch.full((1, 1, 1), 2), t).flatten()
    torch.testing.assert_close(share, expected, rtol=0, atol=0.01)  # 4 standard errors


# P(all pixels are 1), true value .3, with a perfect denoiser of 64 pixels, 4000 draws
@pytest.mark.parametrize(
    ('skip', 'steps', 'frequency'), [('exact', 5, 0.20), ('exact', 10, 0.24), ('ccdm', 10, 0.45)]
)
def test_few_steps_bias_the_frequencies_of_modes(skip, steps, frequency):
    diffusion = uniform(2, skip=skip)
    draws = Draws(generator=torch.Generator().manual_seed(0))
    shape = (4000, 2, 8, 8)
    z = diffusion.start(draws.gumbel('noise', shape))
    times = torch.linspace(250, 1, steps).round().long() - 1
    for i, t in enumerate(times):
        s = times[i + 1] if i + 1 < steps else torch.tensor(-1)
        m = (1 + diffusion.schedule.alphas_cumprod[t]) / 2
        ones = z.sum(dim=(1, 2), keepdim=True)
        # Bayes over the two modes; 64 pixels vote
        log_odds = torch.tensor(3 / 7).log() + (2 * ones - 64) * (m.log() - (1 - m).log())
        p = log_odds.sigmoid()[:, None].expand(-1, 1, 8, 8)
        probs = diffusion.posterior(z, torch.cat([1 - p, p], dim=1), t[None], s[None])
        z = diffusion.draw(probs.float(), draws.gumbel('noise', shape))
    ones = z.flatten(1).double().mean(dim=1)
    assert abs((ones > 0.5).double().mean().item() - frequency) < 0.03


def test_ignored_pixels_are_noise():
    noise = gumbel((1, 3, 40, 40), seed=0)
    ignored, t = torch.full((1, 40, 40), 255), torch.tensor([0])
    z = uniform(3).corrupt(ignored, t, noise)
    assert torch.bincount(z.flatten(), minlength=3).min() > 450
    hidden = absorbing(2)
    assert (hidden.corrupt(ignored, t, noise) == 2).all()
    assert (hidden.start(noise) == 2).all()


def test_every_pixel_is_hidden_at_the_last_time():
    hidden, last = absorbing(3, 20), torch.tensor([19])
    labels = torch.tensor([[[0, 1, 2]]])
    assert (hidden.marginal(labels, last)[:, 3] == 1).all()
    assert (hidden.transition(labels, last - 5, last)[:, 3] == 1).all()
    # without this, the last kernel would leave some hidden
    p = probabilities(1, 3, 1, 3)
    clean = hidden.posterior(torch.full((1, 1, 3), 3), p, last, torch.tensor([-1]))
    torch.testing.assert_close(clean[:, :3], p, **EXACT)


def test_half_precision_is_promoted():
    p = probabilities(1, 3, 2, 2).bfloat16()
    t = torch.tensor([100])
    out = uniform(3).posterior(torch.zeros(1, 2, 2).long(), p, t, t - 1)
    assert out.dtype == torch.float32


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: uniform(1), 'num_classes=1: a label map needs at least 2'),
        (lambda: uniform(2, skip='fast'), "skip must be one of .* got 'fast'"),
        (lambda: uniform(2, parametrization='x0'), "parametrization must be .* got 'x0'"),
        (
            lambda: UniformDiffusion(num_classes=2, schedule=CosineLogSNR()),
            'CosineLogSNR does not: use a discrete schedule',
        ),
        (
            lambda: uniform(2).corrupt(torch.tensor([[[0, 2]]]), torch.tensor([3]), None),
            r'labels run from 0 to 2, outside \[0, 2\)',
        ),
        (
            lambda: uniform(2).transition(
                torch.zeros(1, 1, 1), torch.tensor([5]), torch.tensor([5])
            ),
            r't=\[5\] to an earlier s=\[5\]',
        ),
        (
            lambda: uniform(2).transition(
                torch.zeros(1, 1, 1), torch.tensor([0]), torch.tensor([250])
            ),
            r'both in -1 .. 249',
        ),
        (
            lambda: uniform(2).transition(
                torch.zeros(1, 1, 1), torch.tensor([0.0]), torch.tensor([2.0])
            ),
            'times are integers -1 .. 249',
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize('kernel', ['UniformDiffusion', 'AbsorbingDiffusion'])
def test_is_built_from_a_config(kernel):
    schedule = dict(type='CosineBetas', num_timesteps=20)
    diffusion = NOISE_SCHEDULES.build(dict(type=kernel, num_classes=3, schedule=schedule))
    assert diffusion.num_timesteps == 20
    assert diffusion.time_pairs(2) == [(19, 0), (0, -1)]


@pytest.mark.parametrize('kernel', [UniformDiffusion, AbsorbingDiffusion])
def test_log_snr_training_times_are_even_on_their_scale(kernel):
    schedule = CosineBetas(num_timesteps=250)
    diffusion = kernel(num_classes=3, schedule=schedule, train_times='log_snr')
    draws = Draws(generator=torch.Generator().manual_seed(0))
    times = diffusion.draw_times(20000, draws, torch.device('cpu'))
    depth = -torch.logit(schedule.alphas_cumprod)
    place = (depth + math.log(499)) / (2 * math.log(499))
    for share in (0.25, 0.5, 0.75):
        last = int((place <= share).sum()) - 1  # up to here the scale goes to at most this share
        assert abs((times <= last).float().mean() - place[last]) < 0.015
    ends = Draws({'t': torch.tensor([0.0, 1 - 1e-7])})
    first, last = diffusion.draw_times(2, ends, torch.device('cpu')).tolist()
    assert schedule.alphas_cumprod[first] <= 499 / 500 <= schedule.alphas_cumprod[first - 1]
    assert schedule.alphas_cumprod[last] <= 1 / 500 <= schedule.alphas_cumprod[last - 1]
    with pytest.raises(ValueError, match='train_times must be one of'):
        kernel(num_classes=3, schedule=schedule, train_times='log')
