import pytest
import torch

from mmdiffseg.diffusion import (
    CategoricalSampler,
    CosineBetas,
    CosineLogSNR,
    DDIMSampler,
    DDPMSampler,
    DPMSolverMultistepSampler,
    Draws,
    EulerSampler,
    HeunSampler,
    LinearInterpolant,
    Start,
    UniformDiffusion,
    UniPCSampler,
)
from mmdiffseg.diffusion.start import class_probabilities, resize_start

SHAPE = (2, 3, 6, 6)
DISCRETE = CosineBetas(num_timesteps=100)
UNIFORM = UniformDiffusion(num_classes=3, schedule=DISCRETE)
SAMPLERS = {
    'ddim': DDIMSampler(schedule=CosineLogSNR(), time_difference=1),
    'ddim-eta': DDIMSampler(schedule=CosineLogSNR(), eta=0.5),
    'ddpm': DDPMSampler(schedule=DISCRETE, spacing='uniform'),
    'dpm': DPMSolverMultistepSampler(schedule=DISCRETE),
    'unipc': UniPCSampler(schedule=DISCRETE),
    'euler': EulerSampler(schedule=LinearInterpolant()),
    'heun': HeunSampler(schedule=LinearInterpolant()),
    'categorical': CategoricalSampler(schedule=UNIFORM, final='sample'),
}


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param]


def given():
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (2, 6, 6), generator=generator)
    return class_probabilities(labels, 3)


def run(sampler, start=None, steps=5):
    draws = Draws.named(['a', 'b'], seed=0)

    def predict(z_t, t):
        return 0.3 * z_t + 0.1, None

    def encode(output):
        return output.softmax(dim=1) if isinstance(sampler, CategoricalSampler) else output

    chain = sampler.walk(predict, encode, shape=SHAPE, steps=steps, draws=draws, start=start)
    return [step for step in chain if step.x0 is not None]


def test_full_strength_is_a_chain_from_noise_bit_for_bit(sampler):
    for ours, plain in zip(run(sampler, Start(map=given())), run(sampler), strict=True):
        assert ours.t == plain.t
        assert torch.equal(ours.z_t, plain.z_t) and torch.equal(ours.x0, plain.x0)


def test_a_chain_starts_from_the_map_at_its_time(sampler):
    start = Start(map=given(), strength=0.3)
    first = run(sampler, start)[0]
    assert first.t == pytest.approx(29 if isinstance(first.t, int) else 0.3)
    noise = sampler.schedule.draw_noise(Draws.named(['a', 'b'], seed=0), 'start', SHAPE, None)
    if isinstance(sampler, CategoricalSampler):
        kept = UNIFORM.schedule.alphas_cumprod[first.t].float()
        probs = kept * start.map + (1 - kept) / 3
        expected = (probs.log() + noise).argmax(dim=1)
        assert torch.equal(first.z_t.argmax(dim=1), expected)
        return
    t = torch.tensor(first.t)
    alpha, sigma = sampler.schedule.alpha_sigma(t)
    torch.testing.assert_close(first.z_t, (alpha * start.map + sigma * noise).float())


def test_a_weaker_start_stays_nearer_to_the_map(sampler):
    def distance(strength):
        steps = run(sampler, Start(map=given(), strength=strength))
        return (steps[0].z_t - given()).abs().mean()

    assert distance(0.05) < distance(0.5) < distance(0.95)


def test_kept_pixels_follow_the_map(sampler):
    keep = torch.zeros(2, 6, 6, dtype=torch.bool)
    keep[:, 2:4] = True
    for strength in (1.0, 0.3):
        steps = run(sampler, Start(map=given(), strength=strength, keep=keep), steps=4)
        noise = sampler.schedule.draw_noise(Draws.named(['a', 'b'], seed=0), 'start', SHAPE, None)
        free = run(sampler, Start(map=given(), strength=strength), steps=4)
        pairs = sampler.time_pairs(4, strength)
        # where the map is when the denoiser sees it; samplers may tell it an earlier time
        places = sampler.coefficients([pairs[0][0], *(then for _, then in pairs[:-1])])
        for step, now in zip(steps, places, strict=True):
            known = sampler.corrupt(given(), noise, now)
            assert torch.equal(step.z_t[:, :, 2:4], known[:, :, 2:4])
        assert not torch.equal(steps[-1].z_t[:, :, 2:4], free[-1].z_t[:, :, 2:4])


def test_starts_are_checked():
    for strength in (0, 'half', float('nan')):
        message = rf'strength must lie in \(0, 1\], got {strength!r}'
        with pytest.raises(ValueError, match=message):
            Start(map=given(), strength=strength)
    with pytest.raises(ValueError, match=r'the pixels to keep have the shape \(2, 3, 3\)'):
        Start(map=given(), keep=torch.ones(2, 3, 3, dtype=torch.bool))


def test_probabilities_of_labels():
    probs = class_probabilities(torch.tensor([[[0, 2, 255]]]), 3)
    expected = torch.tensor([[1, 0, 1 / 3], [0, 0, 1 / 3], [0, 1, 1 / 3]])
    torch.testing.assert_close(probs[0, :, 0], expected)


def test_resizing_averages_and_puts_what_is_kept_first():
    probs = class_probabilities(torch.tensor([[[0, 0, 1, 1], [0, 1, 0, 0]]]), 2)
    keep = torch.zeros(1, 2, 4, dtype=torch.bool)
    keep[0, 1, 1] = True
    small = resize_start(Start(map=probs, keep=keep), (1, 2))
    torch.testing.assert_close(small.map[0, 1, 0], torch.tensor([1.0, 0.5]))
    assert small.keep.tolist() == [[[True, False]]]
    plain = resize_start(Start(map=probs), (1, 2))
    torch.testing.assert_close(plain.map[0, 1, 0], torch.tensor([0.25, 0.5]))
