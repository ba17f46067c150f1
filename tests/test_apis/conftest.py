import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.apis.load import load

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def load_untrained():
    """Load a config of the repository with random weights, the same in every call."""

    def load_config(name, **options):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return load(config=CONFIGS / f'{name}.py', device='cpu', **options)

    return load_config


@pytest.fixture
def tiny(load_untrained):
    """A model that draws whole masks, 2 of them by default in 2 steps."""
    model = load_untrained('stochastic/flow_ambiguous-shapes')
    # a fresh network says zeros, whatever it sees
    generator = torch.Generator().manual_seed(0)
    for parameter in model.model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    head = model.config.model.decode_head
    head.steps, head.generations = 2, 2
    model.model.decode_head.steps, model.model.decode_head.generations = 2, 2
    return model


@pytest.fixture
def picture():
    """(48, 64, 3) uint8 RGB."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
