from types import SimpleNamespace

from torch.distributed.fsdp import FullyShardedDataParallel


def test_the_state_of_an_optimizer_reaches_pytorch_by_name(monkeypatch):
    from mmengine._strategy.fsdp import FSDPStrategy

    def convert(**given):
        return given

    monkeypatch.setattr(FullyShardedDataParallel, 'optim_state_dict_to_load', convert)
    loaded = []
    wrapper = SimpleNamespace(optimizer='optimizer', load_state_dict=loaded.append)
    strategy = SimpleNamespace(model='model', optim_wrapper=wrapper)
    FSDPStrategy.load_optim_state_dict(strategy, 'state')
    assert loaded == [dict(model='model', optim='optimizer', optim_state_dict='state')]
