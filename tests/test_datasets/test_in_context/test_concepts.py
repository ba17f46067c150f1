import json
import os
import pickle

import numpy as np
import pytest

from mmdiffseg.datasets import InContextDataset
from mmdiffseg.datasets.in_context import concept_keys, fold_classes, fold_of, read_lists


def test_folds_are_those_of_the_benchmarks():
    assert fold_classes('pascal-5i', 1, 'novel') == [6, 7, 8, 9, 10]
    # every fourth class of COCO, from 0: 2, 6, 10, ...
    assert fold_classes('coco-20i', 2, 'novel') == [1 + 2 + 4 * v for v in range(20)]
    for benchmark, count in (('pascal-5i', 20), ('coco-20i', 80)):
        for number in range(4):
            novel = fold_classes(benchmark, number, 'novel')
            base = fold_classes(benchmark, number, 'base')
            assert sorted(novel + base) == list(range(1, count + 1))
            assert {fold_of(benchmark, c) for c in novel} == {number}


def test_keys_of_the_kinds_of_concepts():
    labels = np.array([[0, 3, 3], [255, 7, 0]], np.uint8)
    assert concept_keys(labels, 'a/0', 'class') == ['3', '7']
    assert concept_keys(labels, 'a/0', 'class', background=None) == ['0', '3', '7']
    assert concept_keys(labels, 'a/0', 'folder_class') == ['a:3', 'a:7']
    assert concept_keys(labels, 'a/0', 'folder') == ['a']
    assert concept_keys(labels % 255, 'a/0', 'folder') == []


@pytest.fixture
def lists():
    return {'1': ['0', '4', '5'], '10': ['3', '2'], '2': ['4', '6']}


@pytest.fixture
def build(label_source, label_pipelines, label_root):
    def build(path):
        classes = ('background', *map(str, range(1, 11)))
        source = dict(label_source, metainfo=dict(classes=classes))
        return InContextDataset(
            dataset=source, lists=str(path), episodes='pairs', test_mode=True, **label_pipelines
        )

    return build


def test_lists_say_what_is_there(build, lists, tmp_path):
    path = tmp_path / 'lists.json'
    path.write_text(json.dumps(lists))
    data = build(path)
    assert [c.class_id for c in data.concepts] == [1, 2, 10]
    assert [c.images.tolist() for c in data.concepts] == [[0, 4, 5], [4, 6], [3, 2]]
    assert len(data) == 7


def test_released_lists_are_read(build, lists, tmp_path):
    path = tmp_path / 'meta_train.npy'
    released = {int(key): names for key, names in lists.items()}
    np.save(path, np.array([['0', '4'], released], dtype=object), allow_pickle=True)
    assert read_lists(str(path)) == lists
    assert len(build(path)) == 7


class Evil:
    def __reduce__(self):
        return os.system, ('true',)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    path = tmp_path / 'meta_train.npy'
    np.save(path, np.array([Evil(), {}], dtype=object), allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match='posix.system'):
        read_lists(str(path))


def test_lists_of_other_data_are_refused(build, lists, tmp_path):
    path = tmp_path / 'lists.json'
    path.write_text(json.dumps(lists | {'2': ['4', 'z', '6']}))
    with pytest.raises(FileNotFoundError, match="1 of 3 pictures of '2' .* first is 'z'"):
        build(path)
