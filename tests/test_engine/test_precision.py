import pytest
import torch

from mmdiffseg.engine import precision
from mmdiffseg.engine.precision import autocast_dtype, has_fast_bf16


@pytest.mark.parametrize(
    'fast, name, expected',
    [
        (True, 'auto', torch.bfloat16),
        (False, 'auto', None),
        (True, 'bf16', torch.bfloat16),
        (False, 'fp32', None),
    ],
)
def test_precision_follows_the_processor(monkeypatch, fast, name, expected):
    monkeypatch.setattr(precision, 'has_fast_bf16', lambda: fast)
    assert autocast_dtype(name, 'cpu') == expected


def test_a_gpu_computes_in_fp32_unless_it_is_told_otherwise():
    assert autocast_dtype('auto', 'cuda:0') is None
    assert autocast_dtype('fp16', 'cuda:0') == torch.float16


@pytest.mark.parametrize(
    'name, message',
    [
        ('bf16', 'this processor has no bf16 instructions'),
        ('fp16', 'fp16 is for GPUs'),
        ('int8', 'int8 is for exported models: mmdiffseg export'),
        ('half', "precision must be one of .* got 'half'"),
    ],
)
def test_what_cannot_be_is_said(monkeypatch, name, message):
    monkeypatch.setattr(precision, 'has_fast_bf16', lambda: False)
    with pytest.raises(ValueError, match=message):
        autocast_dtype(name, 'cpu')


def test_a_torch_that_does_not_know_is_measured(monkeypatch):
    for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported'):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert has_fast_bf16() in (True, False)
