import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn

CHECKPOINTS = {'type': 'mmdiffseg.WholeCheckpointHook', 'by_epoch': False, 'interval': 2}


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """A linear fit whose loss also draws noise, as a diffusion model's does."""

    def __init__(self, bad_iter=None):
        super().__init__()
        self.decode_head = nn.Linear(4, 1)
        self.decode_head.self_aligned = self.decode_head.one_step = False
        self.bad_iter = bad_iter
        self.seen = []

    def forward(self, inputs, mode='loss'):
        x = torch.stack(inputs)  # (B, 4)
        noise = torch.randn(len(x), 1)
        loss = (self.decode_head(x) - x.sum(1, keepdim=True) + noise).square().mean()
        head = self.decode_head
        self.seen.append((loss.item(), head.self_aligned or head.one_step))
        if len(self.seen) == self.bad_iter:
            loss = loss * float('nan')
        return {'loss_fit': loss}


@DATASETS.register_module(force=True)
class ToyDataset(BaseDataset):
    """Five samples, augmented by numpy's global generator."""

    METAINFO = {'classes': ('a', 'b')}

    def load_data_list(self):
        return [{'x': float(i)} for i in range(5)]

    def prepare_data(self, idx):
        x = self.get_data_info(idx)['x']
        return {'inputs': torch.full((4,), x) + torch.from_numpy(np.random.randn(4)).float()}


@pytest.fixture
def make_runner(tmp_path):
    def make(
        *,
        hooks=(),
        model=None,
        max_iters=6,
        work_dir=None,
        num_workers=0,
        log_level='ERROR',
        optim_wrapper=None,
        default_hooks=None,
        **kwargs,
    ):
        return Runner(
            model=model or ToyModel(),
            work_dir=str(work_dir or tmp_path / 'run'),
            train_dataloader={
                'batch_size': 2,
                'num_workers': num_workers,
                'dataset': {'type': 'mmdiffseg.SeededDataset', 'dataset': {'type': 'ToyDataset'}},
                'sampler': {'type': 'mmdiffseg.SeededInfiniteSampler'},
            },
            train_cfg={'type': 'IterBasedTrainLoop', 'max_iters': max_iters},
            optim_wrapper=optim_wrapper or {'optimizer': {'type': 'SGD', 'lr': 0.01}},
            default_hooks=default_hooks or {'checkpoint': CHECKPOINTS},
            custom_hooks=list(hooks),
            randomness={'seed': 3},
            default_scope='mmengine',
            experiment_name=f'toy_{np.random.SeedSequence().entropy}',
            log_level=log_level,
            **kwargs,
        )

    return make


@pytest.fixture
def toy_model():
    return ToyModel
