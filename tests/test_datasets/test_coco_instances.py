import json

import pytest

from mmdiffseg.datasets.coco_instances import CocoDataset

CIRCLE = dict(classes=('circle',))
SETTINGS = dict(data_prefix=dict(img='images'), pipeline=[])


@pytest.fixture
def load(shapes_root, tmp_path):
    """Read the instances of Shapes after a change of the annotation file."""
    content = json.loads((shapes_root / 'annotations/instances_train.json').read_text())

    def read(change=None, *, metainfo=CIRCLE, **settings):
        changed = json.loads(json.dumps(content))
        if change:
            changed = change(changed) or changed
        (tmp_path / 'a.json').write_text(json.dumps(changed))
        return CocoDataset(
            data_root=str(tmp_path), ann_file='a.json', metainfo=metainfo, **SETTINGS, **settings
        )

    return read


def fill(pixels):
    """Let every mask be one run of so many pixels."""

    def change(content):
        for annotation in content['annotations']:
            annotation['segmentation'] = dict(size=[64, 64], counts=[pixels])

    return change


def test_reads_polygons_and_run_lengths(load):
    plain = load()
    assert len(plain) == 6 and any(plain.get_data_info(i)['instances'] for i in range(6))
    assert len(load(fill(64 * 64))) == 6


def test_run_lengths_that_are_too_short(load):
    with pytest.raises(ValueError, match=r'a.json: annotation \d+: the run lengths .* to 8 pixels'):
        load(fill(8))


def test_no_instances(load):
    def empty(content):
        content['annotations'] = []

    with pytest.raises(ValueError, match='a.json holds no instance of circle'):
        load(empty)
    assert len(load(empty, test_mode=True)) == 6


def test_other_classes(load):
    with pytest.raises(ValueError, match='not all of the 2 classes are categories of .*a.json'):
        load(metainfo=dict(classes=('circle', 'cat')))


def test_no_annotation_file(load, tmp_path):
    with pytest.raises(ValueError, match='a.json is damaged or not a COCO annotation file'):
        load(lambda content: [1])
    with pytest.raises(FileNotFoundError, match='there is no annotation file .*b.json'):
        CocoDataset(data_root=str(tmp_path), ann_file='b.json', metainfo=CIRCLE, **SETTINGS)
