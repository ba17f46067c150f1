"""Vaihingen buildings and MoNuSeg become folders of images and binary masks."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdiffseg.datasets import BinarySegDataset

VAIHINGEN = 'dataset_converters/vaihingen_buildings.py'
MONUSEG = 'dataset_converters/monuseg.py'


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def names(path):
    return path.read_text().splitlines()


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)


@pytest.fixture(scope='module')
def buildings(image, tmp_path_factory):
    """102 buildings; the last two in the order of their names are for testing."""
    root = tmp_path_factory.mktemp('buildings')
    mask = np.zeros((512, 512), np.uint8)
    mask[0, 0] = 255  # one of four pixels
    mask[0:2, 2] = 255  # two of four
    mask[100:200, 100:300] = 255
    tiny = np.zeros((8, 8), np.uint8)
    for number in range(1, 103):
        large = number in (1, 99)
        cv2.imwrite(str(root / f'building_{number}.tif'), image[..., ::-1] if large else tiny)
        cv2.imwrite(str(root / f'building_mask_{number}.tif'), mask if large else tiny)
    return root


def test_vaihingen(call_tool, buildings, image, tmp_path, capsys):
    call_tool(VAIHINGEN, buildings, '--out', tmp_path / 'out')
    printed = capsys.readouterr().out
    assert 'the masks hold 0, 255\n' in printed
    assert printed.endswith('out: 100 training and 2 test images\n')
    # 98 and 99 come last: as text 1, 10, 100, 101, 102, 11, ... 19, 2, 20, ...
    test = sorted(path.stem for path in (tmp_path / 'out/images/test').iterdir())
    assert test == ['building_98', 'building_99']
    for split, name in (('train', 'building_1'), ('test', 'building_99')):
        nearest = read(tmp_path / f'out/images/{split}/{name}.png')
        np.testing.assert_array_equal(nearest, image[::2, ::2])
        mask = read(tmp_path / f'out/labels/{split}/{name}.png')
        expected = np.zeros((256, 256), np.uint8)
        expected[50:100, 50:150] = expected[0, 0:2] = 1  # any of four pixels is enough
        np.testing.assert_array_equal(mask, expected)


def test_vaihingen_binarized_first(call_tool, buildings, tmp_path):
    call_tool(VAIHINGEN, buildings, '--out', tmp_path / 'out', '--binarize-first')
    mask = read(tmp_path / 'out/labels/train/building_1.png')
    assert mask[0, :3].tolist() == [0, 1, 0]  # one of four pixels is not enough, two are


def test_held_out_part(call_tool, buildings, tmp_path):
    call_tool(VAIHINGEN, buildings, '--out', tmp_path / 'out')
    minitrain, minival = (names(tmp_path / f'out/{part}.txt') for part in ('minitrain', 'minival'))
    assert (len(minitrain), len(minival)) == (80, 20)
    everything = {path.stem for path in (tmp_path / 'out/images/train').iterdir()}
    assert {*minitrain, *minival} == everything
    dataset = BinarySegDataset(
        data_root=str(tmp_path / 'out'),
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        ann_file='minitrain.txt',
        img_suffix='.png',
    )
    assert len(dataset) == 80


def test_vaihingen_refuses(refused, buildings, tmp_path):
    out = tmp_path / 'out'
    assert f'0 images building_<n>.tif in {tmp_path}: need more' in refused(
        VAIHINGEN, tmp_path, '--out', out
    )
    assert f'{buildings} exists: remove it, or' in refused(VAIHINGEN, buildings, '--out', buildings)
    (tmp_path / 'in').mkdir()
    for path in buildings.iterdir():
        if path.name != 'building_mask_7.tif':
            (tmp_path / 'in' / path.name).symlink_to(path)
    said = refused(VAIHINGEN, tmp_path / 'in', '--out', out)
    assert f'1 of 102 images have no mask, the first is {tmp_path}/in/building_mask_7.tif' in said
    assert not out.exists()


def write_xml(path, *outlines):
    regions = ''.join(
        f'<Region Id="{number}"><Attributes/><Vertices>'
        + ''.join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in outline)
        + '</Vertices></Region>'
        for number, outline in enumerate(outlines, start=1)
    )
    path.write_text(
        f'<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>'
    )


@pytest.fixture
def tissue(image, tmp_path):
    """Three images as in the challenge's archives: in two folders, and all in one."""
    train, test = tmp_path / 'train', tmp_path / 'test'
    square = [(0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (0.0, 50.0)]
    beside = [(60.0, 20.0), (140.0, 20.0), (140.0, 80.0), (60.0, 80.0)]
    speck = [(300.0, 300.0), (310.0, 310.0)]
    for name, images, outlines in (
        ('TCGA-A.1', train / 'Tissue Images', train / 'Annotations'),
        ('TCGA-B', train / 'Tissue Images', train / 'Annotations'),
        ('TCGA-C', test, test),
    ):
        for folder in (images, outlines):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:400]).save(images / f'{name}.tif')
        write_xml(outlines / f'{name}.xml', speck, square, beside)
    (train / '__MACOSX').mkdir()
    (train / '__MACOSX/._TCGA-B.tif').write_text('')
    return train, test


def expected_mask():
    mask = np.zeros((400, 512), np.uint8)
    mask[:50, :100] = mask[20:80, 60:140] = 1
    return mask


def test_monuseg_at_native_size(call_tool, tissue, image, tmp_path):
    train, test = tissue
    out = tmp_path / 'out'
    call_tool(MONUSEG, '--train', train, '--test', test, '--out', out, '--native-size')
    for split, name in (('train', 'TCGA-A'), ('train', 'TCGA-B'), ('test', 'TCGA-C')):
        np.testing.assert_array_equal(read(out / f'images/{split}/{name}.png'), image[:400])
        np.testing.assert_array_equal(read(out / f'labels/{split}/{name}.png'), expected_mask())
    assert names(out / 'minitrain.txt') == ['TCGA-A', 'TCGA-B']
    assert names(out / 'minival.txt') == []


def test_monuseg_resized(call_tool, tissue, image, tmp_path):
    train, test = tissue
    call_tool(MONUSEG, '--train', train, '--test', test, '--out', tmp_path / 'out')
    resized = Image.fromarray(image[:400]).resize((512, 512), Image.Resampling.BILINEAR)
    mask = Image.fromarray(expected_mask()).resize((512, 512), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(read(tmp_path / 'out/images/test/TCGA-C.png'), resized)
    np.testing.assert_array_equal(read(tmp_path / 'out/labels/test/TCGA-C.png'), mask)


def test_monuseg_refuses(refused, tissue, tmp_path):
    train, test = tissue
    out = tmp_path / 'out'
    call = (MONUSEG, '--train', train, '--out', out)
    assert f'no folder {out}: unpack the archive' in refused(*call, '--test', out)
    write_xml(test / 'TCGA-C.xml')
    assert f'{test}/TCGA-C.xml holds no Annotation/Regions/Region/Vertices' in refused(
        *call, '--test', test
    )
    (test / 'TCGA-C.xml').unlink()
    said = refused(*call, '--test', test)
    assert '1 of 1 images' in said and f'the first is {test}/TCGA-C.tif' in said
    (test / 'TCGA-C.tif').unlink()
    assert f'no *.tif below {test}' in refused(*call, '--test', test)
    assert not out.exists()
