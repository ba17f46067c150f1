import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

IMAGE = dict(type='LoadImageFromFile')
SMALL = dict(type='Resize', scale=(32, 32), keep_ratio=True)


def pipelines(*labels):
    """Test pipelines of query and prompts, which load their labels like this."""
    return dict(pipeline=[IMAGE, SMALL, *labels], prompt_pipeline=[IMAGE, *labels, SMALL])


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture(scope='session')
def label_root(tmp_path_factory):
    """Nine pictures of 40x60: class 1 in all, 2 in the even ones, 3 in the first two; 255 too."""
    root = tmp_path_factory.mktemp('labels')
    rng = np.random.default_rng(0)
    for i in range(9):
        labels = np.zeros((40, 60), np.uint8)
        labels[5:30, 2:20] = 1
        labels[5:30, 24:40] = 2 if i % 2 == 0 else 0
        labels[5:30, 44:58] = 3 if i < 2 else 0
        labels[35:] = 255
        write(root / f'images/{i}.png', rng.integers(0, 256, (40, 60, 3), np.uint8))
        write(root / f'labels/{i}.png', labels)
    return root


@pytest.fixture
def label_source(label_root):
    return dict(
        type='mmdiffseg.SegFolderDataset',
        data_root=str(label_root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        metainfo=dict(classes=('background', 'one', 'two', 'three')),
    )


@pytest.fixture
def label_pipelines():
    return pipelines(dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectClass'))


@pytest.fixture(scope='session')
def video_root(tmp_path_factory):
    """Two videos of 4 and 3 frames of 40x60: one object (objects/), classes 1 and 2 (classes/)."""
    root = tmp_path_factory.mktemp('videos')
    for video, length in (('bear', 4), ('swan', 3)):
        for frame in range(length):
            write(root / f'images/{video}/{frame:05d}.jpg', np.full((40, 60, 3), 90, np.uint8))
            mask = np.zeros((40, 60, 3), np.uint8)
            mask[10:30, 10 + frame : 40] = 255
            write(root / f'objects/{video}/{frame:05d}.png', mask)
            classes = np.zeros((40, 60), np.uint8)
            classes[:20] = 1
            if video == 'bear' or frame == 2:  # swan: the class appears later
                classes[20:30] = 2
            classes[38:] = 255
            write(root / f'classes/{video}/{frame:05d}.png', classes)
    return root


@pytest.fixture
def video_source(video_root):
    def source(labels):
        return dict(
            type='mmdiffseg.SegFolderDataset',
            data_root=str(video_root),
            data_prefix=dict(img_path='images', seg_map_path=labels),
            metainfo=dict(classes=('others', 'sky', 'grass')),
        )

    return source


def square(x, y, size=10):
    return [[x, y, x + size, y, x + size, y + size, x, y + size]]


@pytest.fixture(scope='session')
def coco_root(tmp_path_factory):
    """Four pictures of 40x60 with instances of the categories 7 (dog) and 3 (cat)."""
    root = tmp_path_factory.mktemp('coco')
    annotations = []

    def annotate(image_id, category_id, segmentation, iscrowd=0):
        annotations.append(
            dict(
                id=len(annotations) + 1,
                image_id=image_id,
                category_id=category_id,
                segmentation=segmentation,
                iscrowd=iscrowd,
            )
        )

    for image_id in range(4):
        write(root / f'images/{image_id}.jpg', np.full((40, 60, 3), 50, np.uint8))
        annotate(image_id, 7, square(2, 2))  # ids 1, 4, 7, 10
        annotate(image_id, 7, square(20, 20))  # ids 2, 5, 8, 11
        annotate(image_id, 3, square(40, 5))  # ids 3, 6, 9, 12
    annotate(0, 3, dict(size=[40, 60], counts=[0, 40 * 60]), iscrowd=1)
    annotate(1, 3, dict(size=[40, 60], counts=[0, 40, 40 * 59]))  # the first column
    content = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=40, width=60) for i in range(4)],
        annotations=annotations,
        categories=[dict(id=7, name='dog'), dict(id=3, name='cat')],
    )
    (root / 'instances.json').write_text(json.dumps(content))
    return root


@pytest.fixture
def coco_source(coco_root):
    return dict(
        type='mmdiffseg.InstanceMaskDataset',
        data_root=str(coco_root),
        ann_file='instances.json',
        data_prefix=dict(img_path='images'),
    )


@pytest.fixture
def coco_pipelines():
    return pipelines(dict(type='mmdiffseg.LoadInstanceUnion'))


@pytest.fixture
def object_pipelines():
    return pipelines(dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectObject'))


@pytest.fixture
def video_class_pipelines():
    select = dict(type='mmdiffseg.SelectVideoClass')
    load = dict(type='LoadAnnotations')
    query = [IMAGE, SMALL, load, dict(select, keep_labels=True)]
    return dict(pipeline=query, prompt_pipeline=[IMAGE, load, select, SMALL])
