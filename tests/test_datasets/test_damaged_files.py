"""Files that cannot be read, or that say something else than their pixels, are named."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from mmdiffseg.datasets import NYUDataset, SegFolderDataset
from mmdiffseg.datasets.files import check_files, read_json
from mmdiffseg.datasets.pictures import check_depth_bits, check_labels_fit, check_upright

CLASSES = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0]] * 3)


@pytest.fixture
def root(tmp_path):
    """One picture of 6x4 and its labels."""
    for name, shape in (('images/a.jpg', (4, 6, 3)), ('labels/a.png', (4, 6))):
        path = tmp_path / name
        path.parent.mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    return tmp_path


def load(root):
    dataset = SegFolderDataset(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=CLASSES,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmdiffseg.CheckLabels', num_classes=3),
        ],
    )
    return dataset[0]


def test_a_sound_sample(root):
    assert load(root)['gt_seg_map'].shape == (4, 6)


@pytest.mark.parametrize('name', ['images/a.jpg', 'labels/a.png'])
@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_a_damaged_file_is_named(root, name, content):
    path = root / name
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    if content is None and path.suffix == '.jpg':
        path.write_bytes(path.read_bytes()[:100])
    sentence = rf'{name} \(\d+ bytes\) is damaged or not a picture|failed to load image: .*{name}'
    with pytest.raises((ValueError, AssertionError), match=sentence):
        load(root)


def test_labels_of_another_size(root):
    Image.fromarray(np.zeros((6, 4), np.uint8)).save(root / 'labels/a.png')
    with pytest.raises(ValueError, match=r'a\.jpg is 6x4 and its labels .*a\.png are 4x6'):
        load(root)


@pytest.mark.parametrize('orientation', [2, 3, 6])
def test_a_picture_that_is_stored_turned(root, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    size = (4, 6, 3) if orientation < 5 else (6, 4, 3)
    Image.fromarray(np.zeros(size, np.uint8)).save(root / 'images/a.jpg', exif=exif)
    with pytest.raises(ValueError, match=rf'a\.jpg is stored turned .*orientation {orientation}'):
        load(root)


def test_labels_beyond_8_bits(root):
    labels = np.zeros((4, 6), np.uint16)
    Image.fromarray(labels).save(root / 'labels/a.png')
    assert not load(root)['gt_seg_map'].any()
    labels[0, 0] = 258  # 2, in 8 bits
    Image.fromarray(labels).save(root / 'labels/a.png')
    with pytest.raises(ValueError, match=r'a\.png holds the label 258'):
        load(root)


def test_depths_of_8_bits(root):
    folder = root / 'depth'
    folder.mkdir()
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(folder / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png is an image of 8 bits \(L\)'):
        check_depth_bits(str(folder / 'a.png'))
    Image.fromarray(np.full((4, 6), 900, np.uint16)).save(folder / 'a.png')
    check_depth_bits(str(folder / 'a.png'))


def test_formats_that_pillow_does_not_know_pass(root):
    path = root / 'a.npy'
    np.save(path, np.zeros(3))
    for check in (check_labels_fit, check_depth_bits):
        check(str(path))
    check_upright(str(path), truth='b.png')


@pytest.mark.parametrize('content', [b'', b'{"a": ', b'\xff\xfe\x00', b'\x80\x04]'])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.json is damaged or not JSON'):
        read_json(tmp_path / 'a.json')


def test_missing_files_are_counted_and_the_first_named(tmp_path):
    (tmp_path / 'b').touch()
    check_files([tmp_path / 'b'], what='x', fix='y')
    paths = [tmp_path / name for name in ('b', 'c', 'elsewhere/d')]
    with pytest.raises(FileNotFoundError, match='^2 of 3 lists are missing, the first is .*/c: do'):
        check_files(paths, what='lists', fix='do')


def test_the_mixin_serves_depth_as_well():
    assert any(base.__name__ == 'NamesDamagedFiles' for base in NYUDataset.__mro__)
