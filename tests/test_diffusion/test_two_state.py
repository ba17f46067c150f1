import itertools

import numpy as np
import pytest
import torch

from mmdiffseg.diffusion import Draws, Start, TwoStateDiffusion, TwoStateSampler

T = 6
DIFFUSION = TwoStateDiffusion()


def test_tables_follow_the_line():
    fine = np.array([0.8 - 0.16 * t for t in range(T)])
    before = np.concatenate([[1.0], fine[:-1]])
    np.testing.assert_allclose(DIFFUSION.fine_cumprod.numpy(), fine, atol=1e-12)
    np.testing.assert_allclose(DIFFUSION.fine_cumprod_prev.numpy(), before, atol=1e-12)
    np.testing.assert_allclose(DIFFUSION.fine.numpy(), fine / before, atol=1e-12)
    np.testing.assert_allclose(DIFFUSION.fine.cumprod(0), DIFFUSION.fine_cumprod, atol=1e-12)


def bayes(p, t, s):
    """P(fine at s | coarse at t), by adding up all paths of the forward chain."""
    keep = DIFFUSION.fine.tolist()
    joint = {True: 0.0, False: 0.0}
    for start, weight in ((True, p), (False, 1 - p)):
        for path in itertools.product((True, False), repeat=t + 1):  # fine at times 0 .. t
            probability, state = weight, start
            for time, then in enumerate(path):
                stays = keep[time] if state else 0.0
                probability *= stays if then else 1 - stays
                state = then
            if not path[t]:
                at_s = path[s] if s >= 0 else start
                joint[at_s] += probability
    return joint[True] / (joint[True] + joint[False])


@pytest.mark.parametrize('t', range(T))
@pytest.mark.parametrize('p', [0.0, 0.3, 0.95])
def test_posterior_is_that_of_all_paths(t, p):
    for s in range(-1, t):
        found = DIFFUSION.posterior(
            torch.full((1, 1, 1, 1), p, dtype=torch.float64), torch.tensor([t]), torch.tensor([s])
        )
        assert found.item() == pytest.approx(bayes(p, t, s), abs=1e-12)


def test_shares_of_both_masks():
    fine, coarse = torch.ones(T, 1, 100, 100), torch.zeros(T, 1, 100, 100)
    uniform = torch.rand(fine.shape, generator=torch.Generator().manual_seed(0))
    z_t = DIFFUSION.corrupt(fine, coarse, torch.arange(T), uniform)
    shares = z_t.mean(dim=(1, 2, 3)).double()
    torch.testing.assert_close(shares, DIFFUSION.fine_cumprod, atol=0.02, rtol=0)
    assert not z_t[-1].any()


def reference_chain(logits_of, coarse, times, uniforms, monotone=False):
    """The released loop in numpy, pixel by pixel formulas written anew."""
    bbar = [0.8 - 0.16 * t for t in range(T)]
    mask, fine, seen = coarse.copy(), np.zeros_like(coarse), []
    for i, t in enumerate(times):
        seen.append(mask.copy())
        logit = logits_of(mask, t)
        sigmoid = 1 / (1 + np.exp(-logit))
        p = 2 * np.abs(sigmoid - 0.5)
        before = bbar[t - 1] if t else 1.0
        fine = fine + (1 - fine) * p * (before - bbar[t]) / (1 - p * bbar[t])
        if i < len(times) - 1:
            uniform = uniforms[0 if monotone else i]
            mask = np.where(uniform < fine, logit >= 0, coarse).astype(coarse.dtype)
    return seen, sigmoid, fine


@pytest.mark.parametrize(
    'steps, strength, times',
    [(6, 1.0, [5, 4, 3, 2, 1, 0]), (3, 1.0, [5, 4, 3]), (1, 1 / 6, [0]), (3, 0.5, [2, 1, 0])],
)
@pytest.mark.parametrize('monotone', [False, True])
def test_chain_is_the_released_loop(steps, strength, times, monotone):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 1, 8, 8))
    coarse = rng.integers(0, 2, (2, 1, 8, 8)).astype(float)
    uniforms = rng.random((steps, 2, 1, 8, 8))

    def logits_of(mask, t):
        return weights * (t + 1) + mask - 0.5

    def predict(z_t, t):
        half = torch.from_numpy(logits_of(z_t.numpy(), t.item())) / 2
        return torch.cat([-half, half], dim=1), None

    recorded = uniforms[:-1][: 1 if monotone else None]
    draws = Draws({f'step{i}': torch.from_numpy(u) for i, u in enumerate(recorded)})
    chain = TwoStateSampler(schedule=DIFFUSION, monotone=monotone).walk(
        predict,
        DIFFUSION.encode_output,
        shape=(2, 1, 8, 8),
        steps=steps,
        draws=draws,
        start=Start(map=torch.from_numpy(coarse), strength=strength),
    )
    steps = list(chain)
    seen, end, fine = reference_chain(logits_of, coarse, times, uniforms, monotone)
    assert [step.t for step in steps] == times
    for step, mask in zip(steps, seen, strict=True):
        np.testing.assert_array_equal(step.z_t.numpy(), mask)
    np.testing.assert_allclose(steps[-1].x0.numpy(), end, atol=1e-12)
    np.testing.assert_allclose(steps[-1].fine.numpy(), fine, atol=1e-12)


def test_a_sure_network_makes_pixels_fine_on_schedule():
    def sure(z_t, t):
        return torch.cat([torch.full_like(z_t, -99), torch.full_like(z_t, 99)], dim=1), None

    chain = TwoStateSampler(schedule=DIFFUSION).walk(
        sure,
        DIFFUSION.encode_output,
        shape=(1, 1, 4, 4),
        steps=6,
        draws=Draws(),
        start=Start(map=torch.zeros(1, 1, 4, 4)),
    )
    shares = [step.fine.mean().item() for step in chain]
    assert shares == pytest.approx([0.16, 0.32, 0.48, 0.64, 0.8, 1.0], abs=1e-6)


@pytest.mark.parametrize('logit, flips', [(0.5, False), (1.3, False), (1.6, True), (6.0, True)])
def test_in_the_papers_ending_pixels_change_where_the_network_is_sure(logit, flips):
    coarse = torch.zeros(1, 1, 4, 4)
    output = torch.full((1, 2, 4, 4), logit / 2)
    output[:, 0] *= -1

    def end(**options):
        return list(
            TwoStateSampler(schedule=DIFFUSION, **options).walk(
                lambda z_t, t: (output, None),
                DIFFUSION.encode_output,
                shape=coarse.shape,
                steps=T,
                draws=Draws.named(['a'], seed=0),
                start=Start(map=coarse),
            )
        )[-1]

    plain, mixed = end(), end(mix=True)
    torch.testing.assert_close(mixed.x0, plain.fine * plain.x0)
    assert (plain.x0 >= 0.5).all() and (mixed.x0 >= 0.5).all() == flips


@pytest.mark.parametrize('label', [0, 1])
@pytest.mark.parametrize('sure', [None, 0.7, 0.95])
def test_how_sure_the_network_has_to_be(sure, label):
    """Pixels whose other label has .6, .75, .85, .94 and .96; without ``sure`` .81 is enough."""
    given = torch.tensor([0.6, 0.75, 0.85, 0.94, 0.96]).view(1, 1, 1, 5)
    coarse = torch.full_like(given, label)
    half = (given.logit() / 2) * (1 - 2 * label)
    sampler = TwoStateSampler(schedule=DIFFUSION, spacing='trailing', mix=True, sure=sure)
    (step,) = sampler.walk(
        lambda z_t, t: (torch.cat([-half, half], dim=1), None),
        DIFFUSION.encode_output,
        shape=coarse.shape,
        steps=1,
        draws=Draws(),
        start=Start(map=coarse),
    )
    changed = (step.x0 >= 0.5) != coarse.bool()
    assert torch.equal(changed, given > (sure or (1 + 5**0.5) / 4))


@pytest.mark.parametrize(
    'options', [dict(sure=0.9), dict(mix=True, sure=1), dict(mix=True, sure=0.5)]
)
def test_a_bar_that_nothing_or_everything_passes_is_refused(options):
    with pytest.raises(ValueError, match='sure='):
        TwoStateSampler(schedule=DIFFUSION, **options)


def test_kept_pixels_stay():
    def other(z_t, t):
        return torch.cat([torch.full_like(z_t, -9), torch.full_like(z_t, 9)], dim=1), None

    keep = torch.zeros(1, 6, 6, dtype=torch.bool)
    keep[:, :3] = True
    chain = TwoStateSampler(schedule=DIFFUSION).walk(
        other,
        DIFFUSION.encode_output,
        shape=(1, 1, 6, 6),
        steps=6,
        draws=Draws(),
        start=Start(map=torch.zeros(1, 1, 6, 6), keep=keep),
    )
    *_, last = chain
    assert not last.z_t[:, :, :3].any() and last.z_t[:, :, 3:].any()


def test_spacing():
    assert DIFFUSION.time_pairs(5) == [(5, 4), (4, 3), (3, 2), (2, 1), (1, 0)]
    assert DIFFUSION.time_pairs(2, spacing='trailing') == [(5, 2), (2, -1)]
    with pytest.raises(ValueError, match='steps must lie in 1 .. 6, got 7'):
        DIFFUSION.time_pairs(7)


def test_bad_settings():
    with pytest.raises(ValueError, match='num_timesteps must be at least 2, got 1'):
        TwoStateDiffusion(num_timesteps=1)
    with pytest.raises(ValueError, match='kept must lie in'):
        TwoStateDiffusion(kept=1.0)
    walk = TwoStateSampler(schedule=DIFFUSION).walk(
        None, None, shape=(1, 1, 4, 4), steps=1, draws=Draws()
    )
    with pytest.raises(ValueError, match=r'starts from a coarse mask of \(1, 1, 4, 4\), got none'):
        next(walk)
