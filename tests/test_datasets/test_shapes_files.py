"""The generator: same seed, same files; all kinds of ground truth tell the same story."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmdiffseg.datasets import ShapesDataset

MAPS = ('images', 'labels', 'depth', 'panoptic', 'maps')


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def read(root, kind, split, index):
    suffix = 'jpg' if kind == 'images' else 'png'
    pixels = cv2.imread(str(root / kind / split / f'{index:06d}.{suffix}'), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def annotations(root, kind, split):
    return json.loads((root / 'annotations' / f'{kind}_{split}.json').read_text())


def test_same_seed_same_files(make_shapes, shapes_root, tmp_path):
    again = tmp_path / 'again'
    make_shapes(again, '--train', 6, '--val', 3, '--size', 64, 64)
    assert digests(again) == digests(shapes_root)


def test_seed_split_and_index_make_different_pictures(make_shapes, shapes_root, tmp_path):
    make_shapes(tmp_path / 'other', '--train', 6, '--val', 3, '--size', 64, 64, '--seed', 1)
    pictures = [p.read_bytes() for p in shapes_root.rglob('*.jpg')]
    pictures += [p.read_bytes() for p in (tmp_path / 'other').rglob('*.jpg')]
    assert len(set(pictures)) == len(pictures) == 18


def test_counts_do_not_change_pictures(make_shapes, shapes_root, tmp_path):
    fewer = tmp_path / 'fewer'
    make_shapes(fewer, '--train', 2, '--val', 1, '--size', 64, 64)
    ours, theirs = digests(fewer), digests(shapes_root)
    files = [name for name in ours if name.startswith(MAPS)]
    assert len(files) == 3 * len(MAPS)
    assert all(ours[name] == theirs[name] for name in files)


@pytest.mark.parametrize(('split', 'count'), [('train', 6), ('val', 3)])
def test_labels_panoptic_depth_and_instances_agree(shapes_root, split, count):
    instances = COCO(shapes_root / 'annotations' / f'instances_{split}.json')
    panoptic = annotations(shapes_root, 'panoptic', split)
    names = {category['id']: category['name'] for category in panoptic['categories']}
    assert tuple(names[i] for i in range(len(names))) == ShapesDataset.METAINFO['classes']
    # mmdet counts things first and takes the order of the file
    assert [c['isthing'] for c in panoptic['categories']] == [1] * 6 + [0]
    assert len(panoptic['images']) == len(panoptic['annotations']) == count

    for picture, annotation in zip(panoptic['images'], panoptic['annotations'], strict=True):
        index = picture['id']
        assert annotation['image_id'] == index
        image = read(shapes_root, 'images', split, index)
        labels = read(shapes_root, 'labels', split, index)
        depth = read(shapes_root, 'depth', split, index)
        segment_ids = read(shapes_root, 'panoptic', split, index)[..., ::-1] @ [1, 256, 65536]
        assert image.shape == (picture['height'], picture['width'], 3)
        assert labels.dtype == np.uint8 and labels.max() <= 6
        assert depth.dtype == np.uint16 and depth.shape == labels.shape

        segments = annotation['segments_info']
        assert set(np.unique(segment_ids)) == {segment['id'] for segment in segments}
        things = instances.loadAnns(instances.getAnnIds(imgIds=index))
        assert len(things) == sum(segment['category_id'] > 0 for segment in segments)
        slope = np.linspace(10000, 6000, picture['height']).round()
        masks = [instances.annToMask(thing).astype(bool) for thing in things]
        depths = []
        for segment in segments:
            mask = segment_ids == segment['id']
            assert (labels[mask] == segment['category_id']).all()
            assert mask.sum() == segment['area']
            y, x = np.nonzero(mask)
            left, top, width, height = segment['bbox']
            assert (x.min(), y.min()) == (left, top)
            assert (np.ptp(x) + 1, np.ptp(y) + 1) == (width, height)
            if segment['category_id'] > 0:
                assert sum((mask == other).all() for other in masks) == 1
                assert np.ptp(depth[mask]) == 0
                depths.append(int(depth[mask][0]))
            else:
                assert (depth[mask] == slope[y]).all()
        # segments go from far to near, each nearer than what it hides
        assert depths == sorted(set(depths), reverse=True)
        assert max(depths) < depth[labels == 0].min()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_maps_show_what_labels_show_and_what_is_hidden(shapes_root, split):
    overlaps = 0
    for index in range(3):
        labels = read(shapes_root, 'labels', split, index)
        with np.load(shapes_root / 'maps' / split / f'{index:06d}.npz') as arrays:
            masks = arrays['masks']
        assert masks.shape == (6, 32, 32) and masks.dtype == np.uint8 and masks.max() == 1
        for label, mask in enumerate(masks, start=1):
            # a cell has four pixels: where all show the class, its centre has it
            shown = (labels == label).reshape(32, 2, 32, 2).all(axis=(1, 3))
            assert mask[shown].all()
        # nothing is in the map where there is only background, but for the outlines
        empty = (labels == 0).reshape(32, 2, 32, 2).all(axis=(1, 3))
        assert not masks[:, empty].any()
        overlaps += (masks.sum(axis=0) > 1).sum()
    assert overlaps > 0


def test_maps_of_odd_pictures_are_rounded_up(make_shapes, tmp_path):
    make_shapes(tmp_path / 'odd', '--train', 1, '--val', 1, '--size', 49, 36)
    with np.load(tmp_path / 'odd/maps/train/000000.npz') as arrays:
        assert arrays['masks'].shape == (6, 18, 25)


def test_options_set_sizes_and_numbers_of_shapes(make_shapes, tmp_path):
    root = tmp_path / 'wide'
    options = ('--train', 3, '--val', 1, '--size', 96, 48, '--shapes', 2, 2, '--seed', 5)
    make_shapes(root, *options)
    assert read(root, 'images', 'train', 2).shape == (48, 96, 3)
    listed = annotations(root, 'panoptic', 'train')['annotations']
    assert [len(a['segments_info']) for a in listed] == [3, 3, 3]
    written = json.loads((root / 'shapes.json').read_text())
    assert written == dict(
        seed=5,
        train=3,
        val=1,
        size=[96, 48],
        shapes=[2, 2],
        camouflage=0.1,
        distractors=[0.0, 0.0],
    )


def test_overwrites_only_when_asked_and_only_its_own(make_shapes, tmp_path):
    root = tmp_path / 'shapes'
    tiny = ('--train', 1, '--val', 1, '--size', 32, 32)
    assert make_shapes(root, *tiny).returncode == 0
    before = digests(root)

    refused = make_shapes(root, *tiny, '--seed', 1)
    assert refused.returncode != 0
    assert f'{root} exists: add --overwrite to replace it' in refused.stderr
    assert digests(root) == before

    assert make_shapes(root, *tiny, '--seed', 1, '--overwrite').returncode == 0
    assert digests(root) != before

    (root / 'shapes.json').unlink()
    refused = make_shapes(root, *tiny, '--overwrite')
    assert refused.returncode != 0
    assert 'holds no shapes.json, so it is not replaced' in refused.stderr
    assert root.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ['shapes']


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (('--train', 0), '--train 0 --val 200: both need at least 1 picture'),
        (('--size', 128, 16), '--size 128 16: shapes need at least 32 pixels'),
        (('--shapes', 5, 2), '--shapes 5 2: need 1 <= MIN <= MAX <= 80'),
        (('--seed', -1), '--seed -1: must not be negative'),
        (('--camouflage', 1.5), '--camouflage 1.5: a share is between 0 and 1'),
        (('--distractors', 0, 2), '--distractors 0.0 2.0: a share is between 0 and 1'),
        (('--distractors', 0, 0.5), '--distractors needs two shapes a picture: --shapes 1 ...'),
    ],
)
def test_bad_options_are_refused(make_shapes, tmp_path, options, sentence):
    refused = make_shapes(tmp_path / 'shapes', *options)
    assert refused.returncode != 0
    assert sentence in refused.stderr
    assert not list(tmp_path.iterdir())
