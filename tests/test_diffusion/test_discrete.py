import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion.discrete import (
    SIGNAL_SPACINGS,
    SPACINGS,
    CosineBetas,
    DiscreteSchedule,
    LinearBetas,
    discrete_time_pairs,
    space_timesteps,
    table_at,
)
from mmdiffseg.registry import NOISE_SCHEDULES

RECORDED = torch.load(Path(__file__).parents[1] / 'data/discrete_schedules.pt')
FAMILIES = dict(linear=LinearBetas, cosine=CosineBetas)


def kept_chain(schedule, times):
    """The chain of only these times of a schedule, numbered from 0."""
    alphas_cumprod = schedule.alphas_cumprod[times]
    return DiscreteSchedule(1 - alphas_cumprod / F.pad(alphas_cumprod[:-1], (1, 0), value=1.0))


def table(schedule, name):
    """A table of improved-diffusion, whether the schedule keeps it or it follows from others."""
    abar, betas = schedule.alphas_cumprod, schedule.betas
    alpha, sigma = schedule.alpha_sigma(torch.arange(schedule.num_timesteps))
    fixed_large = torch.cat([schedule.posterior_variance[1:2], betas[1:]])
    derived = dict(
        alphas_cumprod_next=F.pad(abar[1:], (0, 1)),
        sqrt_alphas_cumprod=alpha,
        sqrt_one_minus_alphas_cumprod=sigma,
        log_one_minus_alphas_cumprod=(1 - abar).log(),
        sqrt_recip_alphas_cumprod=1 / alpha,
        sqrt_recipm1_alphas_cumprod=sigma / alpha,
        fixed_large_variance=fixed_large,
        fixed_large_log_variance=fixed_large.log(),
    )
    return derived[name] if name in derived else getattr(schedule, name)


@pytest.mark.parametrize('case', RECORDED['improved_diffusion'].values(), ids=lambda case: '')
def test_tables_equal_those_of_improved_diffusion(case):
    schedule, tables = FAMILIES[case['schedule']](num_timesteps=case['steps']), dict(case['tables'])
    times = tables.pop('timestep_map')
    if case['respacing'] is not None:
        assert times.tolist() == space_timesteps(case['steps'], case['respacing'])
        schedule = kept_chain(schedule, times)
    for name, expected in tables.items():
        torch.testing.assert_close(table(schedule, name), expected, rtol=1e-12, atol=0)


def test_tables_equal_those_of_dformer():
    schedule, recorded = CosineBetas(num_timesteps=1000), RECORDED['dformer']
    for name, expected in recorded['tables'].items():
        ours = table_at(table(schedule, name), recorded['t'])
        # The logarithm of a variance of 0 is clipped differently at t = 0; nothing reads it there.
        first = int(name == 'posterior_log_variance_clipped')
        torch.testing.assert_close(ours[first:], expected[first:], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    'schedule, t, alphas_cumprod',
    [
        (LinearBetas(num_timesteps=100), 0, 0.999),
        (LinearBetas(num_timesteps=100), 99, 2.03900898e-05),
        (CosineBetas(num_timesteps=1000), 500, 0.4922851724488026),
        (CosineBetas(num_timesteps=1000), 999, 2.428766907e-09),
    ],
)
def test_alphas_cumprod_by_hand(schedule, t, alphas_cumprod):
    assert schedule.alphas_cumprod[t].item() == pytest.approx(alphas_cumprod, rel=1e-8)


@pytest.mark.parametrize('family', FAMILIES.values())
def test_tables_follow_from_the_betas(family):
    schedule = family(num_timesteps=37)
    abar = 1.0
    for t, beta in enumerate(schedule.betas.tolist()):
        previous, abar = abar, abar * (1 - beta)
        expected = dict(
            alphas_cumprod=abar,
            alphas_cumprod_prev=previous,
            posterior_variance=beta * (1 - previous) / (1 - abar),
            posterior_mean_coef1=beta * math.sqrt(previous) / (1 - abar),
            posterior_mean_coef2=(1 - previous) * math.sqrt(1 - beta) / (1 - abar),
        )
        if t > 0:
            expected['posterior_log_variance_clipped'] = math.log(expected['posterior_variance'])
        for name, value in expected.items():
            assert getattr(schedule, name)[t].item() == pytest.approx(value, rel=1e-10), name


@pytest.mark.parametrize('schedule', [LinearBetas(num_timesteps=50), CosineBetas()])
def test_alpha_sigma_and_log_snr(schedule):
    t = torch.randint(0, schedule.num_timesteps, (4, 5), dtype=torch.int32)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        alpha, sigma = schedule.alpha_sigma(t)
        log_snr = schedule.log_snr(t)
    assert alpha.shape == sigma.shape == log_snr.shape == t.shape
    assert alpha.dtype == sigma.dtype == log_snr.dtype == torch.float64
    torch.testing.assert_close(alpha**2, schedule.alphas_cumprod[t.long()])
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    torch.testing.assert_close((alpha**2 / sigma**2).log(), log_snr)


def test_minus_one_is_the_clean_end_and_nothing_lies_beyond_the_noisy_one():
    schedule = CosineBetas(num_timesteps=10)
    alpha, sigma = schedule.alpha_sigma(torch.tensor([[-1], [9]]))
    assert (alpha[0], sigma[0]) == (1, 0)
    assert 0 < alpha[1] < 0.01
    assert schedule.log_snr(torch.tensor(-1)) == math.inf
    with pytest.raises(IndexError):
        schedule.alpha_sigma(torch.tensor(10))


def test_one_timestep():
    schedule = CosineBetas(num_timesteps=1)
    assert schedule.betas.tolist() == [0.999]
    assert schedule.time_pairs(1) == [(0, -1)]
    assert schedule.posterior_variance.tolist() == [0]


@pytest.mark.parametrize('case', RECORDED['space_timesteps'])
def test_space_timesteps_equals_the_recorded_ones(case):
    num_timesteps, respacing = case.split('|')
    expected = RECORDED['space_timesteps'][case].tolist()
    assert space_timesteps(int(num_timesteps), respacing) == expected


@pytest.mark.parametrize(
    'respacing, expected', [(4, [0, 3, 6, 9]), ('ddim5', [0, 2, 4, 6, 8]), ('1,3', [0, 5, 7, 9])]
)
def test_space_timesteps_by_hand(respacing, expected):
    assert space_timesteps(10, respacing) == expected


@pytest.mark.parametrize('steps', RECORDED['dformer']['time_pairs'])
def test_time_pairs_equal_those_of_dformer(steps):
    pairs = CosineBetas(num_timesteps=1000).time_pairs(steps, spacing='trailing_truncated')
    assert pairs == [tuple(pair) for pair in RECORDED['dformer']['time_pairs'][steps].tolist()]


@pytest.mark.parametrize('steps', RECORDED['dformer']['ddim'])
def test_ddim_coefficients_of_the_pairs_equal_those_of_dformer(steps):
    schedule = CosineBetas(num_timesteps=1000)
    pairs = schedule.time_pairs(steps, spacing='trailing_truncated')[:-1]
    now, then = torch.tensor(pairs).T
    (alpha, sigma), (alpha_next, sigma_next) = schedule.alpha_sigma(now), schedule.alpha_sigma(then)
    fresh = sigma_next / sigma * (1 - (alpha / alpha_next) ** 2).sqrt()  # eta = 1
    kept = (sigma_next**2 - fresh**2).sqrt()
    ours = torch.stack([alpha_next, kept, fresh], dim=1)
    torch.testing.assert_close(ours, RECORDED['dformer']['ddim'][steps], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('num_timesteps', [1000, 37])
@pytest.mark.parametrize('steps', [2, 3, 4, 7, 10, 25, 37])
def test_spacings_are_those_of_diffusers(num_timesteps, steps):
    expected = dict(
        uniform=np.linspace(0, num_timesteps - 1, steps).round()[::-1],
        leading=(np.arange(0, steps) * (num_timesteps // steps)).round()[::-1],
        trailing=np.round(np.arange(num_timesteps, 0, -num_timesteps / steps)) - 1,
    )
    for spacing, times in expected.items():
        pairs = discrete_time_pairs(num_timesteps, steps, spacing=spacing)
        assert [now for now, _ in pairs] == times.tolist()
        assert [then for _, then in pairs] == [*times.tolist()[1:], -1]


@pytest.mark.parametrize('steps', [15, 25, 55])  # 15 and 55 meet a half
def test_uniform_spacing_is_the_respacing_of_improved_diffusion(steps):
    kept = space_timesteps(100, steps)
    pairs = discrete_time_pairs(100, steps, spacing='uniform')
    assert [now for now, _ in pairs] == kept[::-1]


@pytest.mark.parametrize('spacing', SPACINGS)
def test_every_number_of_steps_gives_a_falling_chain(spacing):
    for steps in range(1, 101):
        pairs = discrete_time_pairs(100, steps, spacing=spacing)
        assert len(pairs) == steps
        assert all(99 >= now > then >= -1 for now, then in pairs)
    assert pairs == [(t, t - 1) for t in reversed(range(100))]


@pytest.mark.parametrize('spacing', ['trailing', 'trailing_truncated', 'uniform'])
def test_a_single_step_starts_from_noise(spacing):
    assert discrete_time_pairs(1000, 1, spacing=spacing) == [(999, -1)]


def test_schedules_are_built_from_configs():
    cfg = dict(type='mmdiffseg.LinearBetas', num_timesteps=100)
    assert NOISE_SCHEDULES.build(cfg).num_timesteps == 100


@pytest.mark.parametrize('num_timesteps', [-1, 0, 4, 19, 20])
def test_too_short_linear_chains_are_refused(num_timesteps):
    with pytest.raises(ValueError, match=f'must be above 20, got {num_timesteps}: .* fewer steps'):
        LinearBetas(num_timesteps=num_timesteps)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match='must be at least 1, got 0'):
        CosineBetas(num_timesteps=0)
    with pytest.raises(ValueError, match=r'betas must lie in \(0, 1\)'):
        DiscreteSchedule(torch.tensor([0.1, 1.0]))
    with pytest.raises(TypeError, match='integer times -1 .. 999, got torch.float32'):
        CosineBetas().alpha_sigma(torch.rand(3))
    with pytest.raises(ValueError, match="got 'karras'"):
        discrete_time_pairs(1000, 3, spacing='karras')
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=f'steps must lie in 1 .. 1000, got {steps}'):
            discrete_time_pairs(1000, steps)


@pytest.mark.parametrize(
    'respacing, message',
    [
        ('ddim40', 'no stride through 100 timesteps has 40'),
        ('101', 'asks for 101 of the 100 timesteps'),
        ('10,60', 'asks for 60 of the 50 timesteps'),
        ('0', 'asks for 0 of the 100 timesteps'),
        ('fast', "must look like 25, '10,10,5' or 'ddim25', got 'fast'"),
    ],
)
def test_impossible_respacings_are_refused(respacing, message):
    with pytest.raises(ValueError, match=message):
        space_timesteps(100, respacing)


def test_the_grid_of_ccdm_counts_from_one():
    uniform = [now for now, _ in discrete_time_pairs(250, 25, spacing='uniform')]
    ccdm = [now for now, _ in discrete_time_pairs(250, 25, spacing='ccdm')]
    # halves of the recorded chain K19_T250_skip25; all other times are the same
    differ = {i: now + 1 for i, now in enumerate(ccdm) if now != uniform[i]}
    assert differ == {4: 208, 12: 126, 20: 42}
    assert discrete_time_pairs(250, 1, spacing='ccdm') == [(249, -1)]


@pytest.mark.parametrize('steps', [1, 2, 7, 32, 100, 250])
def test_quadratic_times_are_dense_where_a_map_is_noise(steps):
    pairs = discrete_time_pairs(250, steps, spacing='quadratic')
    times = [now for now, _ in pairs]
    assert times[0] == 249 and pairs[-1][1] == -1 and min(times) >= 0
    assert all(then < now for now, then in pairs)
    assert [then for _, then in pairs[:-1]] == times[1:]
    if steps == 7:
        gaps = [now - then for now, then in pairs]
        assert gaps == sorted(gaps)


@pytest.mark.parametrize('spacing', SIGNAL_SPACINGS)
@pytest.mark.parametrize('steps', [1, 2, 3, 8, 32, 249, 250])
@pytest.mark.parametrize('strength', [0.999, 1.0])
def test_signal_times_fall_to_the_clean_end(spacing, steps, strength):
    schedule = CosineBetas(num_timesteps=250)
    pairs = schedule.time_pairs(steps, spacing=spacing, strength=strength)
    times = [now for now, _ in pairs]
    assert len(times) == steps and times[0] == 249 and pairs[-1][1] == -1
    assert all(now > then for now, then in pairs)
    assert [then for _, then in pairs[:-1]] == times[1:]


@pytest.mark.parametrize(
    'spacing, scale, ends',
    [
        ('geometric', torch.log, (-math.log(200), -math.log(2))),
        ('log_snr', torch.logit, (-math.log(199), math.log(49))),
    ],
)
def test_signal_times_are_even_on_their_scale(spacing, scale, ends):
    schedule = CosineBetas(num_timesteps=4000)  # fine enough to see the rule
    times = [now for now, _ in schedule.time_pairs(9, spacing=spacing)][1:]
    signal = scale(schedule.alphas_cumprod[times])
    # seven differences between eight times, which lie in the middle of eight parts
    assert signal.diff().tolist() == pytest.approx([(ends[1] - ends[0]) / 8] * 7, rel=0.03)
    assert signal.mean() == pytest.approx(sum(ends) / 2, abs=0.02)


@pytest.mark.parametrize('spacing', SIGNAL_SPACINGS)
def test_signal_times_of_a_chain_that_starts_halfway(spacing):
    pairs = CosineBetas(num_timesteps=250).time_pairs(5, spacing=spacing, strength=0.3)
    assert pairs[0][0] == 74 and len({now for now, _ in pairs}) == 5


def test_unknown_spacings_are_refused_with_all_that_there_are():
    with pytest.raises(ValueError, match="'quadratic', 'geometric', 'log_snr'.*got 'cubic'"):
        CosineBetas(num_timesteps=250).time_pairs(5, spacing='cubic')
