import pytest
from torch import nn

from mmdiffseg.engine.model_head import model_head


@pytest.mark.parametrize('name', ['decode_head', 'panoptic_head'])
def test_the_heads_of_both_hosts_are_found(name):
    model = nn.Module()
    assert model_head(model) is None
    head = nn.Linear(1, 1)
    model.add_module(name, head)
    assert model_head(model) is head
