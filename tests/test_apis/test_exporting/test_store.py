"""The comparison of a stored graph with the model."""

from pathlib import Path

import pytest
import torch

from mmdiffseg.apis.exporting import store

CORRECT = torch.linspace(-1, 1, 1000)


@pytest.mark.parametrize(
    'off, picked, accepted',
    [
        ([], (), True),
        ([1.0], (), False),
        ([1.0] * 9, ('posterior',), True),
        ([1.0] * 9, ('another',), False),
        ([1.0] * 11, ('posterior',), False),
        ([float('nan')], ('posterior',), False),
    ],
)
def test_only_a_few_classes_may_differ(off, picked, accepted, monkeypatch):
    found = CORRECT.clone()
    found[: len(off)] += torch.tensor(off)
    monkeypatch.setitem(
        store.GRAPHS, 'onnx', lambda *args, **options: lambda given: dict(posterior=found.numpy())
    )
    entry = dict(file='step.onnx', inputs=[], outputs=['posterior'])
    asked = (entry, picked, Path(), 'onnx', [], [CORRECT], 1e-4)
    if accepted:
        store._compare(*asked)
    else:
        with pytest.raises(RuntimeError, match='step.onnx is wrong: posterior'):
            store._compare(*asked)
