import re

import numpy as np
import pytest
from PIL import Image

from mmdiffseg.apis.folder.check import look_into
from mmdiffseg.apis.folder.pairs import pair_files


def look(folders, **options):
    return look_into(pair_files(*folders), **options)


@pytest.mark.parametrize('value', [1, 128, 255])
def test_binary_masks(draw, tmp_path, value):
    facts = look(draw.pairs(tmp_path, 10, value=value), classes=['ground', 'square'])
    assert facts.foreground == value and facts.classes == ['ground', 'square']
    assert facts.shares == pytest.approx([1 - 256 / 48**2, 256 / 48**2])
    assert facts.sizes.tolist() == [[48, 48]] * 10 and not facts.warnings


def test_one_bit_masks(draw, tmp_path):
    folders = draw.pairs(tmp_path, 2)
    for path in folders[1].iterdir():
        Image.open(path).convert('1').save(path)
    assert look(folders).foreground == 1


def test_class_ids_with_a_palette(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 3, value=1)
    for i in range(3):
        picture = Image.fromarray(draw.square(i).astype(np.uint8) * (1 + i % 2)).convert('P')
        picture.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10])
        picture.save(masks / f'p{i}.png')
    facts = look((images, masks))
    assert facts.foreground is None and facts.classes == ['class 0', 'class 1', 'class 2']
    assert facts.palette == [[0, 0, 0], [200, 10, 10], [10, 200, 10]]


def test_ignored_pixels_are_told(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 10, value=1)
    labels = np.full((48, 48), 255, np.uint8)
    draw.mask(masks / 'p0.png', labels)
    facts = look((images, masks))
    assert facts.foreground == 1
    assert '10 % of the pixels are 255 and do not count.' in facts.warnings
    assert '1 masks hold a single value' in ' '.join(facts.warnings)


def test_rare_missing_and_empty(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 4, value=1)
    for i in range(4):
        labels = np.zeros((48, 48), np.uint8)
        labels[0, : 3 * (i > 0)] = 3
        draw.mask(masks / f'p{i}.png', labels)
    text = ' '.join(look((images, masks), classes=['a', 'b', 'c', 'd']).warnings)
    assert "'d' is rare: 0.098 %" in text and "no mask holds 'b'" in text
    assert '1 masks are empty, such as' in text and '4 pictures are very few' in text


@pytest.mark.parametrize('value', [0, 7])
def test_one_colour_everywhere(draw, tmp_path, value):
    images, masks = draw.pairs(tmp_path, 3)
    for i in range(3):
        draw.mask(masks / f'p{i}.png', np.full((48, 48), value, np.uint8))
    with pytest.raises(ValueError, match=f'all 3 masks hold only {value}, such as .*p0.png'):
        look((images, masks))


def test_wrong_sizes(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 3)
    draw.mask(masks / 'p1.png', np.zeros((40, 44), np.uint8))
    sentence = '1 of 3 masks differ in size .*p1.png is 48x48 and .*p1.png 44x40: make them'
    with pytest.raises(ValueError, match=sentence):
        look((images, masks))


def test_colour_masks(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 2)
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[:9] = 255, 0, 0
    Image.fromarray(pixels).save(masks / 'p0.png')
    sentence = re.escape('colour mask with 2 colours ((0, 0, 0), (255, 0, 0)): save masks as PNGs')
    with pytest.raises(ValueError, match=sentence):
        look((images, masks))
    Image.fromarray(pixels[..., :1].repeat(3, axis=2)).save(masks / 'p0.png')
    with pytest.raises(ValueError, match='in colour although it is grey: save one channel'):
        look((images, masks))


@pytest.mark.parametrize(
    'labels',
    [
        np.arange(48 * 48, dtype=np.uint16).reshape(48, 48),  # numbered objects
        np.arange(48 * 48, dtype=np.int64).reshape(48, 48).astype(np.uint8),  # soft
        np.array([0, 60, 120] * 768, dtype=np.uint8).reshape(48, 48),  # greys
    ],
)
def test_what_is_no_class_id(draw, tmp_path, labels):
    images, masks = draw.pairs(tmp_path, 2)
    draw.mask(masks / 'p0.png', labels)
    with pytest.raises(ValueError, match="p0.png, hold .*values .*foreground='nonzero'"):
        look((images, masks))
    assert look((images, masks), foreground='nonzero').foreground == 'nonzero'


def test_classes_and_foreground_must_fit(draw, tmp_path):
    folders = draw.pairs(tmp_path, 2)
    with pytest.raises(ValueError, match=r"classes=\('a',\) names 1 classes and the masks have 2"):
        look(folders, classes=['a'])
    with pytest.raises(ValueError, match='the masks hold 0, 255, .*|names 3'):
        look(folders, classes=['a', 'b', 'c'], foreground=255)
    with pytest.raises(ValueError, match='foreground=1 does not fit .* values are 0, 255'):
        look(folders, foreground=1)
    with pytest.raises(ValueError, match="foreground='all' must be a value above 0 or 'nonzero'"):
        look(folders, foreground='all')
    folders = draw.pairs(tmp_path / 'ids', 2, value=2)
    draw.mask(folders[1] / 'p0.png', np.eye(48, dtype=np.uint8) * 3)
    with pytest.raises(ValueError, match=r'hold 0, 2, 3 and classes names 3: .* \[0, 3\)'):
        look(folders, classes=['a', 'b', 'c'])


def test_pictures_of_16_bits(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 2)
    Image.fromarray(np.zeros((48, 48), np.uint16)).save(images / 'p0.png')
    with pytest.raises(ValueError, match='p0.png has more than 8 bits .*save pictures with 8'):
        look((images, masks))


def test_turned_pictures(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 2, suffix='.jpg')
    exif = Image.Exif()
    exif[274] = 6
    Image.open(images / 'p1.jpg').save(images / 'p1.jpg', exif=exif)
    with pytest.raises(ValueError, match=r'p1.jpg is stored turned .*\(EXIF orientation 6\)'):
        look((images, masks))


@pytest.mark.parametrize('folder', [0, 1])
def test_damaged_files(draw, tmp_path, folder):
    folders = draw.pairs(tmp_path, 2)
    file = folders[folder] / 'p1.png'
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f'{file} is damaged or not a picture: get it again'):
        look(folders)


def test_raters(draw, tmp_path):
    images, _ = draw.pairs(tmp_path, 4)
    for rater in (1, 2):
        for i in range(4):
            draw.mask(tmp_path / f'masks/rater{rater}/p{i}.png', draw.square(i).astype(np.uint8))
    draw.image(images / 'p9.png', draw.square(9))
    facts = look((images, tmp_path / 'masks'))
    assert facts.foreground == 1 and len(facts.sizes) == 4
