"""A model that draws masks as the beginning of a refiner: the two layers that change."""

import runpy
from pathlib import Path

import torch
import torch.nn.functional as F

SCRIPT = Path(__file__).parents[2] / 'tools/model_converters/samples_to_refiner.py'


def test_nothing_is_approximated():
    tool = runpy.run_path(str(SCRIPT))
    stem, out = tool['STEM'], tool['OUT']
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weights = {
        f'{stem}.weight': random(6, 2 * 4, 3, 3),
        f'{stem}.bias': random(6),
        f'{out}.weight': random(2 * 4, 6, 3, 3),
        f'{out}.bias': random(2 * 4),
        'other': random(1),
    }
    found = tool['convert'](weights)
    assert found['other'] is weights['other']

    def run(layer, values, state):
        return F.conv2d(values, state[f'{layer}.weight'], state[f'{layer}.bias'])

    # blocks of 2 x 2 pixels as channels, as FeatureMapUNet reads and writes them
    mask = (random(1, 1, 16, 16) > 0).double()
    one_hot = F.pixel_unshuffle(torch.cat([1 - mask, mask], dim=1), 2)
    before = run(stem, one_hot, weights)
    torch.testing.assert_close(run(stem, F.pixel_unshuffle(mask, 2), found), before)
    background, objects = F.pixel_shuffle(run(out, before, weights), 2).unbind(1)
    logit = F.pixel_shuffle(run(out, before, found), 2)[:, 0]
    torch.testing.assert_close(logit, objects - background)
