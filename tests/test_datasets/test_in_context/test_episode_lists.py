import json

import pytest

from mmdiffseg.datasets.in_context import CocoEpisodeDataset, ShapesInContextDataset


@pytest.fixture
def coco(coco_source, coco_pipelines, tmp_path):
    episodes = [
        dict(category_id=7, name='dog', fold=1, support='1.jpg', query='0.jpg'),
        dict(category_id=3, name='cat', fold=0, support='2.jpg', query='3.jpg'),
    ]

    def build(**options):
        path = tmp_path / 'episodes.json'
        path.write_text(json.dumps(dict(episodes=episodes)))
        return CocoEpisodeDataset(
            dataset=coco_source,
            episode_file=str(path),
            **dict(test_mode=True, **coco_pipelines) | options,
        )

    build.episodes = episodes
    return build


def test_listed_episodes_are_taken_as_they_are(coco):
    data = coco()
    samples = [data[i]['data_samples'] for i in range(len(data))]
    assert [s.sample_id for s in samples] == ['0_2_1', '3_1_2']
    assert [(s.class_name, s.fold) for s in samples] == [('dog', 1), ('cat', 0)]
    assert samples[0].gt_sem_seg.data.sum() == 200
    assert data.metainfo['concepts'] == {1: 'cat', 2: 'dog'}


def test_several_supports_are_as_many_prompts(coco):
    for episode in coco.episodes:
        episode['support'] = ['1.jpg', '2.jpg']
    assert coco(shots=2)[0]['data_samples'].sample_id == '0_2_1_2'
    with pytest.raises(ValueError, match='lists 2 prompts an episode, fewer than shots=3'):
        coco(shots=3)


def test_lists_of_other_pictures_and_training_on_them_are_refused(coco):
    with pytest.raises(ValueError, match='test_mode=True'):
        coco(test_mode=False)
    coco.episodes[0]['query'] = '9.jpg'
    with pytest.raises(ValueError, match="names the picture '9.jpg'"):
        coco()


@pytest.fixture
def shapes(coco_source, coco_pipelines, tmp_path):
    concepts = {
        'red circle': dict(class_id=4, held_out=False, images={'0': [1], '1': [4, 6], '2': [8]}),
        'blue star': dict(class_id=0, held_out=True, images={'0': [2], '2': [7], '3': [10, 11]}),
    }
    listed = [
        dict(class_id=0, name='blue star', query='0', supports=['2', '3'], held_out=True),
        dict(class_id=4, name='red circle', query='1', supports=['0', '2'], held_out=False),
    ]

    def build(name, **options):
        path = tmp_path / 'fewshot.json'
        content = dict(concepts=concepts) | (dict(episodes=listed) if name == 'val' else {})
        path.write_text(json.dumps(content))
        options = dict(test_mode=name == 'val') | options
        return ShapesInContextDataset(
            dataset=coco_source, episode_file=str(path), **coco_pipelines, **options
        )

    return build


def test_training_never_sees_what_is_held_out(shapes):
    data = shapes('train')
    assert data.metainfo['concepts'] == {4: 'red circle'}
    areas = {'0': 100, '1': 200, '2': 100}
    assert len(data) == 3
    for i in range(3):
        sample = data[i]['data_samples']
        assert sample.class_name == 'red circle'
        # the union of the instances that the list names, whatever their class
        assert sample.gt_sem_seg.data.sum() == areas[sample.sample_id[0]]


def test_listed_episodes_of_shapes(shapes):
    data = shapes('val', shots=2)
    samples = [data[i]['data_samples'] for i in range(len(data))]
    assert [s.sample_id for s in samples] == ['0_0_2_3', '1_4_0_2']
    assert data.metainfo['concepts'] == {0: 'blue star', 4: 'red circle'}
    assert samples[0].gt_sem_seg.data.sum() == 100


def test_a_part_of_the_listed_episodes(shapes):
    data = shapes('val', only=dict(held_out=True))
    assert [data[i]['data_samples'].sample_id for i in range(len(data))] == ['0_0_2']
    assert data.metainfo['concepts'] == {0: 'blue star'}
    with pytest.raises(ValueError, match="no episode with {'held_out': 5}"):
        shapes('val', only=dict(held_out=5))
