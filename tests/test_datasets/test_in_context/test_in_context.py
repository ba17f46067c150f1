import json
import random
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmdiffseg.datasets import InContextDataset
from mmdiffseg.datasets.seeded import set_seed

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
SELECT = dict(type='mmdiffseg.SelectClass')


@pytest.fixture
def build(label_source, label_pipelines):
    def build(**options):
        options = dict(dataset=label_source, test_mode=True, **label_pipelines) | options
        return InContextDataset(**options)

    return build


def ids(data, indices=None):
    return [data[i]['data_samples'].sample_id for i in indices or range(len(data))]


def test_an_episode_is_packed_as_the_model_takes_it(build, label_root):
    episode = build(episodes='pairs')[0]
    inputs, sample = episode['inputs'], episode['data_samples']
    assert inputs['query'].shape == (3, 21, 32) and inputs['query'].dtype == torch.uint8
    ((prompt,), (mask,)) = inputs['prompts'], inputs['prompt_masks']
    assert prompt.shape == (3, 21, 32) and mask.shape == (21, 32)
    assert mask.dtype == torch.uint8 and set(mask.unique().tolist()) == {0, 1, 255}
    # the labels of the query stay at the size of the picture
    assert sample.gt_sem_seg.shape == sample.ori_shape == (40, 60)
    assert sample.gt_sem_seg.data.sum() == 25 * 18 + 255 * 5 * 60
    assert sample.img_shape == (21, 32)
    assert (sample.class_id, sample.class_name, sample.fold, sample.seed) == (1, 'one', None, 0)
    assert sample.img_path == str(label_root / 'images/0.png')
    (path,) = sample.prompt_paths
    assert sample.sample_id == f'0_1_{Path(path).stem}'
    assert sample.prompt_cells == [int((mask[::16, ::16] == 1).sum())]


def test_prompts_show_the_concept_in_other_pictures(build):
    data = build(episodes='pairs', num_episodes=60)
    drawn = Counter()
    for i in range(len(data)):
        episode = data[i]
        sample = episode['data_samples']
        assert (episode['inputs']['prompt_masks'][0] == 1).any()
        assert sample.img_path not in sample.prompt_paths
        if sample.class_id == 2:
            drawn.update(int(Path(path).stem) for path in sample.prompt_paths)
    assert set(drawn) == {0, 2, 4, 6, 8}


def test_every_other_picture_is_as_likely_a_prompt(build):
    data = build(episodes='pairs')
    data.prompt_pipeline = lambda view: dict(view, gt_seg_map=np.ones(1))
    concept = data.concepts[1]  # in pictures 0, 2, 4, 6, 8
    set_seed(0)
    drawn = Counter()
    for _ in range(3000):
        drawn.update(p['sample_idx'] for p in draw(data, concept, query=4, shots=2))
    assert set(drawn) == {0, 2, 6, 8}
    assert all(abs(count - 1500) < 120 for count in drawn.values())


def draw(data, concept, *, query, shots):
    data.shots = shots
    return data._draw_prompts({}, concept, query, random)


@pytest.mark.parametrize(
    ('episodes', 'count'), [('images', 9), ('pairs', 9 + 5 + 2), ('classes', 7)]
)
def test_what_is_tested(build, episodes, count):
    data = build(episodes=episodes, num_episodes=7 if episodes == 'classes' else None)
    assert len(data) == count
    pairs = {tuple(sample_id.split('_')[:2]) for sample_id in ids(data)}
    if episodes == 'images':
        assert len(pairs) == len({query for query, _ in pairs}) == 9
    if episodes == 'pairs':
        assert len(pairs) == count


def test_a_number_of_episodes_begins_again_with_other_prompts(build):
    data = build(episodes='pairs', num_episodes=40)
    listed = ids(data)
    assert [i.split('_')[:2] for i in listed[:8]] == [i.split('_')[:2] for i in listed[16:24]]
    assert listed[:16] != listed[16:32]


def test_a_test_episode_is_a_function_of_seed_and_number(build):
    one, other = build(), build(seed=1)
    forward = ids(one)
    assert ids(one, list(reversed(range(9)))) == forward[::-1]
    cv2.setNumThreads(0)  # as runners do: OpenCV's threads do not survive a fork
    loader = DataLoader(one, batch_size=2, num_workers=2, collate_fn=list)
    assert [s['data_samples'].sample_id for batch in loader for s in batch] == forward
    assert ids(other) != forward


def test_the_legacy_way_draws_from_the_global_generator(build):
    data = build(legacy_rng=True)
    set_seed(0)
    first = ids(data)
    assert ids(data) != first
    set_seed(0)
    assert ids(data) == first
    assert data[0]['data_samples'].seed is None


def test_training_augments_query_and_prompts_independently(build):
    crop = dict(type='RandomCrop', crop_size=(24, 24))
    data = build(pipeline=[*LOAD, SELECT, crop], prompt_pipeline=None, shots=2, test_mode=False)
    assert len(data) == 9
    set_seed(0)
    for i in range(9):
        inputs, sample = data[i]['inputs'], data[i]['data_samples']
        assert inputs['query'].shape == (3, 24, 24)
        assert sample.gt_sem_seg.shape == (24, 24)
        # class 3 has two pictures, too few for two prompts; a mask emptied by the crop is refused
        assert sample.class_id != 3
        assert all(mask.any() for mask in inputs['prompt_masks'])
    # the same crop of all would show the same of class 1, which lies where it lies in all
    masks = [data[i]['inputs']['prompt_masks'] for i in range(9)]
    assert any(not torch.equal(a, b) for a, b in masks)


def test_folds_leave_the_other_classes_out(label_source, build):
    classes = ('background', *(f'class {i}' for i in range(1, 21)))
    source = dict(label_source, metainfo=dict(classes=classes))
    fold = dict(benchmark='pascal-5i', number=0, part='novel')
    data = build(dataset=source, fold=fold)
    assert list(data.metainfo['concepts']) == [1, 2, 3, 4, 5]
    assert data[0]['data_samples'].fold == 0
    with pytest.raises(ValueError, match='shows a concept'):
        build(dataset=source, fold=dict(fold, part='base'))


def test_every_class_is_a_concept_without_a_background(build):
    assert list(build().metainfo['concepts']) == [1, 2, 3]
    assert list(build(background=None).metainfo['concepts']) == [0, 1, 2, 3]


def test_videos_are_prompted_by_their_first_frame(video_source, object_pipelines):
    data = InContextDataset(
        dataset=video_source('objects'),
        concept='folder',
        episodes='first_frame',
        test_mode=True,
        **object_pipelines,
    )
    samples = [data[i]['data_samples'] for i in range(len(data))]
    frames = [(s.video, s.frame, s.num_frames) for s in samples]
    assert frames == [
        ('bear', 1, 4),
        ('bear', 2, 4),
        ('bear', 3, 4),
        ('swan', 1, 3),
        ('swan', 2, 3),
    ]
    assert all(s.prompt_paths[0].endswith(f'{s.video}/00000.jpg') for s in samples)
    assert [s.class_id for s in samples] == [1, 1, 1, 2, 2]
    assert samples[1].gt_sem_seg.data.sum() == 20 * 28
    assert samples[0].sample_id == 'bear-00001_1_bear-00000'
    assert data.metainfo['concepts'] == {1: 'bear', 2: 'swan'}


def test_classes_of_a_video_are_those_of_its_first_frame(video_source, video_class_pipelines):
    data = InContextDataset(
        dataset=video_source('classes'),
        concept='folder_class',
        episodes='first_frame',
        test_mode=True,
        **video_class_pipelines,
    )
    samples = [data[i]['data_samples'] for i in range(len(data))]
    assert [(s.video, s.frame, s.class_id) for s in samples] == [
        *(('bear', frame, class_id) for frame in (1, 2, 3) for class_id in (1, 2)),
        *(('swan', frame, 1) for frame in (1, 2)),
    ]
    assert set(samples[0].gt_sem_seg.data.unique().tolist()) == {0, 1}  # void is background
    assert set(samples[-1].gt_class_map.data.unique().tolist()) == {0, 1, 2, 255}
    assert data.metainfo['concepts'] == {1: 'sky', 2: 'grass'}


def test_a_training_prompt_is_any_other_frame_of_the_video(video_source, object_pipelines):
    data = InContextDataset(dataset=video_source('objects'), concept='folder', **object_pipelines)
    for i in range(len(data)):
        sample = data[i]['data_samples']
        assert Path(sample.img_path).parent == Path(sample.prompt_paths[0]).parent
        assert sample.img_path != sample.prompt_paths[0]


def test_instances_of_a_class_are_united_without_crowds(coco_source, coco_pipelines):
    data = InContextDataset(dataset=coco_source, episodes='pairs', test_mode=True, **coco_pipelines)
    assert data.metainfo['concepts'] == {1: 'cat', 2: 'dog'}  # by category id
    areas = {}
    for i in range(len(data)):
        sample = data[i]['data_samples']
        areas[Path(sample.img_path).stem, sample.class_name] = int(sample.gt_sem_seg.data.sum())
    assert areas['0', 'dog'] == 200 and areas['0', 'cat'] == 100
    assert areas['1', 'cat'] == 100 + 40  # polygon and run lengths


def test_too_few_pictures_are_said_before_testing(build):
    with pytest.raises(ValueError, match="'three' has 2 pictures, an episode of 2 prompts needs 3"):
        build(shots=2)


def test_labels_of_another_size_are_refused(build, label_source, tmp_path, label_root):
    (tmp_path / 'images').symlink_to(label_root / 'images')
    (tmp_path / 'labels').mkdir()
    for i in range(9):
        cv2.imwrite(str(tmp_path / f'labels/{i}.png'), np.ones((20, 30), np.uint8))
    data = build(dataset=dict(label_source, data_root=str(tmp_path)))
    with pytest.raises(ValueError, match='is 60x40 and its labels .* are 30x20'):
        data[0]


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(shots=0), 'at least 1'),
        (dict(concept='video'), 'must be one of'),
        (dict(episodes='classes'), 'set num_episodes'),
        (dict(lists='none.json'), 'in_context_lists.py'),
        (dict(fold=dict(benchmark='coco-20i', number=4, part='base')), 'no fold'),
    ],
)
def test_wrong_options_are_refused(build, options, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        build(**options)


@pytest.mark.parametrize('name', ['images/3.png', 'labels/3.png'])
def test_a_damaged_file_of_an_episode_is_named(build, label_root, label_source, tmp_path, name):
    root = shutil.copytree(label_root, tmp_path / 'damaged')
    lists = {'1': [str(i) for i in range(9)]}
    (root / 'lists.json').write_text(json.dumps(lists))
    data = build(
        dataset={**label_source, 'data_root': str(root)}, episodes='pairs', lists='lists.json'
    )
    (root / name).write_bytes(b'')
    with pytest.raises(ValueError, match=rf'{name} \(0 bytes\) is damaged or not a picture'):
        for i in range(len(data)):
            data[i]


def test_lists_that_are_none_are_named(build, label_source, label_root, tmp_path):
    for content in ('[]', '{"1": 2}'):
        (tmp_path / 'lists.json').write_text(content)
        with pytest.raises(ValueError, match='lists.json holds no lists of pictures by concept'):
            build(lists=str(tmp_path / 'lists.json'))
