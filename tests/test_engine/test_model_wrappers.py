"""Wrappers of models, by name as a config gives them."""

from torch import nn

from mmdiffseg.registry import MODEL_WRAPPERS


def test_unwrapped_is_the_model_itself():
    model = nn.Linear(1, 1)
    config = dict(type='mmdiffseg.Unwrapped', module=model)
    assert MODEL_WRAPPERS.build(config) is model
