from types import SimpleNamespace

import pytest
from mmseg.evaluation import IoUMetric

from mmdiffseg.engine.hooks import PredictionNamesHook
from mmdiffseg.evaluation import DepthMetric


class Samples(list):
    get_data_info = list.__getitem__


def run(samples, metric):
    loop = SimpleNamespace(
        dataloader=SimpleNamespace(dataset=Samples(samples)),
        evaluator=SimpleNamespace(metrics=[metric]),
    )
    PredictionNamesHook().before_test(SimpleNamespace(test_loop=loop))
    PredictionNamesHook().before_val(SimpleNamespace(val_loop=loop))


TWINS = [dict(img_path='a/x.jpg'), dict(img_path='b/x.jpg')]
OBJECTS = [dict(img_path='a/x.jpg', sample_id=f'x_{i}') for i in range(2)]


def test_twins_are_refused_before_anything_is_written(tmp_path):
    for metric in (IoUMetric, lambda **s: DepthMetric(max_depth=1, **s)):
        with pytest.raises(ValueError, match='two predictions would be written to x.png'):
            run(TWINS, metric(output_dir=str(tmp_path)))
    run(TWINS, IoUMetric())


def test_objects_of_one_image(tmp_path):
    run(OBJECTS, DepthMetric(max_depth=1, output_dir=str(tmp_path)))
    with pytest.raises(ValueError, match='two predictions would be written to x.png'):
        run(OBJECTS, IoUMetric(output_dir=str(tmp_path)))


def test_a_sample_that_is_listed_twice_is_one(tmp_path):
    run([TWINS[0], TWINS[0]], IoUMetric(output_dir=str(tmp_path)))
    run([dict(query=1)], IoUMetric(output_dir=str(tmp_path)))
