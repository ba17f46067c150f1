from types import SimpleNamespace

import pytest
from mmseg.models import DepthEstimator
from torch import nn

from mmdiffseg.engine.hooks import ClassCountHook


def run(*, heads, data, model=None):
    model = nn.Module() if model is None else model
    for name, counts in heads.items():
        setattr(model, name, SimpleNamespace(**counts))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=data))
    runner = SimpleNamespace(model=model, train_dataloader=loader, test_dataloader=loader)
    ClassCountHook().before_train(runner)
    ClassCountHook().before_test(runner)


def test_equal_numbers_and_none_pass():
    run(heads=dict(decode_head=dict(num_classes=2)), data=dict(classes=('a', 'b')))
    run(heads=dict(decode_head=dict(num_classes=1)), data=dict(classes=()))
    run(heads={}, data=dict(classes=('background', 'concept')))


def test_other_numbers_are_refused():
    with pytest.raises(ValueError, match='decode_head.num_classes is 9, and the data have 2 class'):
        run(heads=dict(decode_head=dict(num_classes=9)), data=dict(classes=('a', 'b')))


def test_things_and_stuff_are_counted_apart():
    head = dict(num_classes=3, num_things_classes=1, num_stuff_classes=2)
    data = dict(classes=('a', 'b', 'c'), thing_classes=('a', 'b'), stuff_classes=('c',))
    with pytest.raises(ValueError, match='num_things_classes is 1, and the data have 2 thing'):
        run(heads=dict(panoptic_head=head), data=data)


def test_depths_have_no_classes():
    model = DepthEstimator.__new__(DepthEstimator)
    nn.Module.__init__(model)
    run(heads=dict(decode_head=dict(num_classes=1)), data=dict(classes=('a', 'b')), model=model)
