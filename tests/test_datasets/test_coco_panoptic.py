import json
import shutil

import pytest

from mmdiffseg.datasets.coco_panoptic import CocoPanopticDataset

THINGS = ('circle', 'ellipse', 'triangle', 'square', 'star', 'ring')


@pytest.fixture
def root(shapes_root, tmp_path):
    """A copy of Shapes that may be damaged."""
    return shutil.copytree(shapes_root, tmp_path / 'shapes')


def build(root, classes=(*THINGS, 'background'), ann_file='annotations/panoptic_train.json'):
    return CocoPanopticDataset(
        data_root=str(root),
        ann_file=ann_file,
        data_prefix=dict(img='images/train', seg='panoptic/train'),
        metainfo=dict(classes=classes, thing_classes=THINGS, stuff_classes=('background',)),
    )


def damage(root, change):
    path = root / 'annotations/panoptic_train.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_segments_of_every_image(root):
    dataset = build(root)
    assert len(dataset) == 6
    sample = dataset.get_data_info(0)
    background = [s for s in sample['segments_info'] if not s['is_thing']]
    assert [segment['category'] for segment in background] == [6]
    assert all(instance['bbox_label'] < 6 for instance in sample['instances'])


def test_crowds_are_no_things(root):
    def mark_things(content):
        for annotation in content['annotations']:
            for segment in annotation['segments_info']:
                segment['iscrowd'] = int(segment['category_id'] != 0)

    damage(root, mark_things)
    sample = build(root).get_data_info(0)
    assert sample['instances'] == []
    assert not any(segment['is_thing'] for segment in sample['segments_info'])


def test_a_missing_png_is_said(root):
    (root / 'panoptic/train/000002.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 6 panoptic PNGs .* is .*000002\.png'):
        build(root)


def test_a_missing_annotation_file_is_said(root):
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*/annotations/none\.json'):
        build(root, ann_file='annotations/none.json')


@pytest.mark.parametrize('classes', [('cat', *THINGS), ('background', *THINGS), THINGS[::-1]])
def test_other_classes_or_another_order_are_said(root, classes):
    with pytest.raises(ValueError, match=r"not categories of .* are \['circle', .*'background'\]"):
        build(root, classes=classes)


def test_a_category_outside_the_list_is_said(root):
    damage(root, lambda d: d['annotations'][1]['segments_info'][0].update(category_id=77))
    with pytest.raises(ValueError, match='image 1 has a segment of category 77, .* 7 classes'):
        build(root)
