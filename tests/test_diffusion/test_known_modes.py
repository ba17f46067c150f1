import itertools

import pytest
import torch

from mmdiffseg.diffusion.absorbing import AbsorbingDiffusion
from mmdiffseg.diffusion.categorical import UniformDiffusion
from mmdiffseg.diffusion.categorical_sampler import CategoricalSampler
from mmdiffseg.diffusion.discrete import CosineBetas
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.flow import LinearInterpolant
from mmdiffseg.diffusion.flow_samplers import EulerSampler
from mmdiffseg.diffusion.known_modes import KnownModes
from mmdiffseg.diffusion.label_encoders import OneHotEncoder

MODES = torch.tensor([[[0, 0, 0]], [[1, 1, 1]], [[1, 2, 2]]])
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
BETAS = CosineBetas(num_timesteps=50)


def test_the_posterior_of_every_noisy_map_is_bayes_rule():
    diffusion = UniformDiffusion(num_classes=3, schedule=BETAS)
    known = KnownModes(MODES, WEIGHTS, schedule=diffusion)
    t = torch.tensor([25])
    kept = diffusion.schedule.alphas_cumprod[25]
    for pixels in itertools.product(range(3), repeat=3):
        z_t = torch.nn.functional.one_hot(torch.tensor(pixels), 3).T.reshape(1, 3, 1, 3).float()
        joint = WEIGHTS.double().clone()
        for m, mode in enumerate(MODES):
            for seen, clean in zip(pixels, mode[0].tolist(), strict=True):
                joint[m] *= kept * (seen == clean) + (1 - kept) / 3
        posterior = known.posterior(z_t, t)[0]
        torch.testing.assert_close(posterior, joint / joint.sum(), rtol=1e-5, atol=1e-7)
        expected, _ = known.predict(z_t, t)
        one_hot = torch.nn.functional.one_hot(MODES, 3).permute(0, 3, 1, 2).double()
        mean = (posterior[:, None, None, None] * one_hot).sum(0)
        torch.testing.assert_close(expected[0].double(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('kind', [UniformDiffusion, AbsorbingDiffusion])
def test_chains_of_every_time_have_the_frequencies_of_the_truth(kind):
    diffusion = kind(num_classes=3, schedule=BETAS)
    known = KnownModes(MODES, WEIGHTS, schedule=diffusion)
    sampler = CategoricalSampler(schedule=diffusion, final='sample')
    count = 4000
    *_, last = sampler.walk(
        known.predict,
        known.encode,
        shape=(count, diffusion.channels, 1, 3),
        steps=50,
        draws=Draws.named([str(i) for i in range(count)], seed=0),
        device=torch.device('cpu'),
    )
    labels = known.labels(last.x0)
    found = torch.stack([(labels == mode).all(-1).all(-1).float().mean() for mode in MODES])
    assert found.sum() > 0.97  # nearly all draws are whole answers
    torch.testing.assert_close(found, WEIGHTS, rtol=0, atol=0.03)


def test_the_flow_of_known_modes_ends_in_them():
    encoder = OneHotEncoder(num_classes=3, scale=1.0)
    schedule = LinearInterpolant()
    known = KnownModes(MODES.byte(), WEIGHTS, schedule=schedule, label_encoder=encoder)
    sampler = EulerSampler(schedule=schedule)
    *_, last = sampler.walk(
        known.predict,
        known.encode,
        shape=(500, encoder.channels, 1, 3),
        steps=100,
        draws=Draws.named([str(i) for i in range(500)], seed=0),
        device=torch.device('cpu'),
    )
    labels = known.labels(last.x0)
    found = torch.stack([(labels == mode).all(-1).all(-1).float().mean() for mode in MODES])
    torch.testing.assert_close(found, WEIGHTS, rtol=0, atol=0.07)


def test_every_mode_has_a_weight():
    with pytest.raises(ValueError, match='3 modes meet 2 weights'):
        KnownModes(MODES, WEIGHTS[:2], schedule=UniformDiffusion(num_classes=3, schedule=BETAS))
