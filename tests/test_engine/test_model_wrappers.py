"""Wrappers of models, by name as a config gives them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdiffseg.engine.hooks import CheckpointMatchHook
from mmdiffseg.models.weights import save_only
from mmdiffseg.registry import MODEL_WRAPPERS


def test_unwrapped_is_the_model_itself():
    model = nn.Linear(1, 1)
    config = dict(type='mmdiffseg.Unwrapped', module=model)
    assert MODEL_WRAPPERS.build(config) is model


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2).requires_grad_(False)

    def encode(self, x):  # not by forward, as an autoencoder
        return self.layer(x)


class HalfFrozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen, self.head = Frozen(), nn.Linear(2, 2)
        save_only(self, [name for name, p in self.named_parameters() if p.requires_grad])

    def forward(self, x):
        return self.head(self.frozen.encode(x)).sum()


@pytest.fixture
def process_group(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / 'store'), 1)
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings('ignore')  # FSDP's, of a single process
def test_sharded_trains_what_is_not_frozen_and_saves_it_alone(process_group):
    model = HalfFrozen()
    before, x = model.head.weight.clone(), torch.randn(3, 2)
    expected = model(x).item()
    config = dict(type='mmdiffseg.ShardedTrainable', module=model, device_id='cpu')
    sharded = MODEL_WRAPPERS.build(dict(config, min_num_params=1))
    loss = sharded(x)
    assert loss.item() == pytest.approx(expected)
    optimizer = torch.optim.SGD(sharded.parameters(), lr=0.1)
    loss.backward()
    optimizer.step()
    saved = sharded.state_dict()
    assert set(saved) == {'head.weight', 'head.bias'}
    assert not torch.equal(saved['head.weight'], before)
    sharded.load_state_dict(saved)

    runner = SimpleNamespace(model=sharded, _resume=False, _load_from='a.pth')
    hook = CheckpointMatchHook()
    hook.after_load_checkpoint(runner, dict(state_dict=saved))
    del saved['head.bias']
    with pytest.raises(ValueError, match=r'a.pth does not fit HalfFrozen: 1 missing \(head\.bias'):
        hook.after_load_checkpoint(runner, dict(state_dict=saved))
