"""Loops of numpy against those of torch's samplers, with a network that anybody can compute."""

import numpy as np
import pytest
import torch

from mmdiffseg.apis.exporting.loop import chain_rows
from mmdiffseg.diffusion import Draws as TorchDraws
from mmdiffseg.diffusion.draws import classes_at
from mmdiffseg.diffusion.samplers import Sampler
from mmdiffseg.registry import SAMPLERS
from mmdiffseg.runtime.chains import walk_categorical, walk_gaussian
from mmdiffseg.runtime.draws import Draws

BETAS = dict(type='LinearBetas', num_timesteps=50)
COSINE = dict(type='CosineBetas', num_timesteps=50)
GAUSSIAN = [
    dict(type='DDIMSampler', schedule=dict(type='CosineLogSNR'), time_difference=1),
    dict(type='DDIMSampler', schedule=BETAS, eta=0.5),
    dict(type='DDPMSampler', schedule=BETAS, variance='fixed_large'),
    dict(type='DDPMSampler', schedule=BETAS, variance='learned_range'),
    dict(type='DPMSolverMultistepSampler', schedule=BETAS),
    dict(type='UniPCSampler', schedule=BETAS),
    dict(type='EulerSampler', schedule=dict(type='LinearInterpolant', shift=2.0)),
    dict(type='HeunSampler', schedule=dict(type='LinearInterpolant')),
]
SHAPE, NAMES = (2, 5, 6), ['a', 'b', 'c']


@pytest.mark.parametrize('config', GAUSSIAN, ids=lambda config: config['type'])
@pytest.mark.parametrize('steps', [1, 4])
def test_gaussian_chains_are_those_of_torch(config, steps):
    sampler = SAMPLERS.build(config)

    def predict(z_t, t):
        return (0.5 * z_t + 0.01 * t).sin(), 0.3 * torch.ones_like(z_t)

    expected = sampler.walk(
        predict,
        lambda output: output,
        shape=(3, *SHAPE),
        steps=steps,
        draws=TorchDraws.named(NAMES, seed=0),
    )

    def call(state):
        output = np.sin(0.5 * state['z_t'] + np.float32(0.01) * state['t'].astype(np.float32))
        return dict(output=output, x0=output, variance=np.float32(0.3))

    whole = isinstance(sampler.time_pairs(1)[0][0], int)
    loop = dict(stochastic=sampler.stochastic, integer_times=whole)
    rows = chain_rows(sampler, steps)
    found = walk_gaussian(loop, rows, call, SHAPE, Draws(NAMES, seed=0))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.z_t, theirs.z_t.numpy(), atol=2e-5)
        np.testing.assert_allclose(ours.x0, theirs.x0.numpy(), atol=2e-5)


@pytest.mark.parametrize('final', ['argmax', 'sample', 'probs'])
@pytest.mark.parametrize(
    'state, coupling, persistence',
    [
        ('sample', 'independent', 0),
        ('sample', 'common', 0),
        ('sample', 'common', 0.7),
        ('sample', 'common', 1),
        ('expected', 'independent', 0),
    ],
)
@pytest.mark.parametrize(
    'kind',
    [
        'UniformDiffusion',
        'AbsorbingDiffusion',
        'BernoulliDiffusion',
        'ImplicitUniformDiffusion',
    ],
)
def test_categorical_chains_are_those_of_torch(kind, state, coupling, persistence, final):
    classes = {} if kind.startswith('Bernoulli') else dict(num_classes=3)
    schedule = dict(type=kind, schedule=COSINE, **classes)
    sampler = SAMPLERS.build(
        dict(
            type='CategoricalSampler',
            schedule=schedule,
            state=state,
            coupling=coupling,
            persistence=persistence,
            final=final,
        )
    )
    diffusion = sampler.schedule
    channels, height, width = diffusion.channels, 5, 6
    slopes = torch.linspace(-1, 1, diffusion.num_classes)[:, None, None]
    # not the same everywhere: with a common number a map would have one class
    places = torch.linspace(-2, 2, height * width).view(height, width)

    def logits(z_t, t):
        return slopes * (z_t[:, :1] + 0.02 * t + places)

    expected = sampler.walk(
        lambda z_t, t: (logits(z_t, t), None),
        diffusion.encode_output,
        shape=(3, channels, height, width),
        steps=4,
        draws=TorchDraws.named(NAMES, seed=0),
    )

    def call(state):
        z_t, t, jump = (torch.from_numpy(state[name]) for name in ('z_t', 't', 'jump'))
        output = logits(z_t, t)
        x0 = diffusion.encode_output(output)
        probability = diffusion.all_states(x0)[:, : diffusion.num_classes]
        if 'clean' in state and (state['clean'] >= 0).all():
            x0 = classes_at(torch.from_numpy(state['clean']), diffusion.all_states(x0))
        posterior = diffusion.all_states(diffusion.reverse(z_t, x0, jump))
        named = dict(output=output, posterior=posterior, probability=probability)
        return {name: tensor.numpy() for name, tensor in named.items()}

    loop = dict(
        states=diffusion.num_states,
        prior=diffusion.prior().tolist(),
        state=state,
        coupling=coupling,
        persistence=persistence,
        final=final,
    )
    rows = chain_rows(sampler, 4)
    found = list(walk_categorical(loop, rows, call, (channels, 5, 6), Draws(NAMES, seed=0)))
    theirs = list(expected)
    for one, other in zip(found, theirs, strict=True):
        np.testing.assert_allclose(one.z_t, other.z_t.numpy(), atol=1e-5)
    end = diffusion.all_states(theirs[-1].x0)[:, : diffusion.num_classes]
    np.testing.assert_allclose(found[-1].drawn, end.numpy(), atol=1e-5)


def test_a_sampler_that_is_no_weighted_sum_is_refused():
    class Squaring(Sampler):
        def step(self, seen, then, noise):
            return seen[-1].z_t ** 2

    with pytest.raises(ValueError, match='Squaring is not a weighted sum of maps'):
        chain_rows(Squaring(schedule=dict(type='CosineLogSNR')), 3)
