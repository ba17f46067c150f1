import math
from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import CosineGamma, CosineLogSNR, DDIMSampler, LinearLogSNR

DATA = Path(__file__).parents[1] / 'data'
RECORDED = torch.load(DATA / 'ddp_schedules.pt')
DEPTH = torch.load(DATA / 'ddp_depth.pt')['schedule']
SCHEDULES = dict(cosine=CosineLogSNR(), linear=LinearLogSNR(), gamma=CosineGamma())


@pytest.mark.parametrize('name', ['cosine', 'linear'])
@pytest.mark.parametrize('precision, tolerance', [('', 1e-6), ('_f64', 1e-12)])
def test_schedules_equal_the_recorded_ones(name, precision, tolerance):
    recorded, schedule = RECORDED[name + precision], SCHEDULES[name]
    alpha, sigma = schedule.alpha_sigma(recorded['t'])
    torch.testing.assert_close(alpha, recorded['alpha'], rtol=0, atol=tolerance)
    torch.testing.assert_close(sigma, recorded['sigma'], rtol=0, atol=tolerance)
    log_snr = schedule.log_snr(recorded['t'])
    torch.testing.assert_close(log_snr, recorded['log_snr'], rtol=tolerance, atol=tolerance)


def test_gamma_equals_the_recorded_one():
    schedule, t = CosineGamma(), DEPTH['t']
    torch.testing.assert_close(schedule.gamma(t), DEPTH['gamma'], rtol=0, atol=1e-6)
    gamma = schedule.gamma(t.double())
    torch.testing.assert_close(gamma, DEPTH['gamma_f64'], rtol=0, atol=1e-12)
    alpha, sigma = schedule.alpha_sigma(t.double())
    torch.testing.assert_close(alpha, gamma.sqrt())
    torch.testing.assert_close(sigma, (1 - gamma).sqrt())


def test_gamma_is_the_cosine_schedule_but_near_its_clean_end():
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(CosineGamma().log_snr(t), CosineLogSNR().log_snr(t))
    assert CosineGamma().log_snr(torch.zeros(1)) > CosineLogSNR().log_snr(torch.zeros(1)) + 4
    assert all(v.isfinite().all() for v in CosineGamma().alpha_sigma(torch.linspace(0, 1, 9)))


@pytest.mark.parametrize('case', DEPTH['time_pairs'])
def test_time_pairs_of_depth_equal_the_recorded_ones(case):
    steps, difference = (float(part.lstrip('Td')) for part in case.split('_t'))
    sampler = DDIMSampler(schedule=CosineGamma(), time_difference=difference)
    pairs = torch.tensor(sampler.time_pairs(int(steps)))
    torch.testing.assert_close(pairs, DEPTH['time_pairs'][case], rtol=0, atol=1e-6)


@pytest.mark.parametrize('t, expected', [(0.0, 11.5129), (0.5, -0.0005), (1.0, -18.9043)])
def test_cosine_log_snr_by_hand(t, expected):
    log_snr = CosineLogSNR().log_snr(torch.tensor(t, dtype=torch.float64)).item()
    assert log_snr == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize('schedule', SCHEDULES.values(), ids=SCHEDULES)
def test_alpha_and_sigma_preserve_variance_and_agree_with_log_snr(schedule):
    t = torch.rand(4, 5, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(t)
    assert alpha.shape == t.shape
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    torch.testing.assert_close((alpha**2 / sigma**2).log(), schedule.log_snr(t))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_times_are_evaluated_in_float32(dtype):
    t = torch.tensor([0.0, 0.25, 1.0], dtype=dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        alpha, sigma = CosineLogSNR().alpha_sigma(t)
    assert alpha.dtype == sigma.dtype == torch.float32
    assert sigma[0].item() == pytest.approx(math.sqrt(1e-5), rel=1e-3)


@pytest.mark.parametrize('case', RECORDED['time_pairs'])
def test_time_pairs_equal_the_recorded_ones(case):
    steps, difference, t_min = (
        float(part.lstrip('Tdlo')) for part in case.replace('td', 'd').split('_')
    )
    sampler = DDIMSampler(schedule=CosineLogSNR(), time_difference=difference, t_min=t_min)
    pairs = torch.tensor(sampler.time_pairs(int(steps)))
    torch.testing.assert_close(pairs, RECORDED['time_pairs'][case], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    'spacing, expected',
    [
        ('trailing', [(1.0, 0.75), (0.75, 0.5), (0.5, 0.25), (0.25, 0.0)]),
        ('leading', [(0.75, 0.5), (0.5, 0.25), (0.25, 0.0), (0.0, 0.0)]),
        ('uniform', [(1.0, 2 / 3), (2 / 3, 1 / 3), (1 / 3, 0.0), (0.0, 0.0)]),
    ],
)
def test_spacings(spacing, expected):
    pairs = CosineLogSNR().time_pairs(4, spacing=spacing)
    assert torch.tensor(pairs).flatten().tolist() == pytest.approx(
        [t for pair in expected for t in pair]
    )


@pytest.mark.parametrize('spacing', ['trailing', 'uniform', 'leading'])
@pytest.mark.parametrize('difference', [0, 1, 0.5])
def test_chains_end_at_the_clean_time_to_the_last_bit(spacing, difference):
    for steps in range(1, 31):
        pairs = CosineLogSNR().time_pairs(steps, spacing=spacing, time_difference=difference)
        assert pairs[-1][1] == 0.0
        if spacing == 'trailing' and difference == 1 and steps > 1:
            assert pairs[-2][1] == 0.0


def test_impossible_grids_are_refused():
    with pytest.raises(ValueError, match='steps must be at least 1, got 0'):
        CosineLogSNR().time_pairs(0)
    with pytest.raises(ValueError, match="got 'karras'"):
        CosineLogSNR().time_pairs(3, spacing='karras')
