import re

import pytest

from mmdiffseg.apis.folder.pairs import pair_files, split_names


@pytest.fixture
def touch(tmp_path):
    """Make empty files below the temporary folder; names are all that pairing looks at."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / 'images', tmp_path / 'masks'

    return make


def test_equal_names_are_pairs(touch):
    pairs = pair_files(*touch('images/b.jpg', 'images/a.jpg', 'masks/a.png', 'masks/b.png'))
    assert pairs.names == ['a', 'b'] and not pairs.raters and not pairs.warnings
    assert pairs.image('a').name == 'a.jpg' and [m.name for m in pairs.masks('a')] == ['a.png']


def test_masks_may_share_an_ending(touch):
    pairs = pair_files(*touch('images/1.jpg', 'images/11.jpg', 'masks/1_m.png', 'masks/11_m.png'))
    assert pairs.names == ['1', '11'] and pairs.mask_suffix == '_m.png'


def test_capital_suffixes(touch):
    pairs = pair_files(*touch('images/A.JPG', 'masks/A.PNG'))
    assert (pairs.image_suffix, pairs.mask_suffix) == ('.JPG', '.PNG')


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_several_suffixes_are_refused(touch, suffix):
    folders = touch('images/a.JPG', f'images/b{suffix}', 'masks/a.png', 'masks/b.png')
    sentence = rf'pictures in .*images have several suffixes \(1 .JPG and 1 {suffix}\)'
    with pytest.raises(ValueError, match=sentence):
        pair_files(*folders)


def test_nested_folders(touch):
    pairs = pair_files(*touch('images/x/a.jpg', 'images/y/a.jpg', 'masks/x/a.png', 'masks/y/a.png'))
    assert pairs.names == ['x/a', 'y/a']


def test_nested_on_one_side_only(touch):
    folders = touch('images/x/a.jpg', 'images/x/b.jpg', 'masks/a.png', 'masks/b.png')
    with pytest.raises(FileNotFoundError, match='2 of 2 pictures .* into the same sub-folders'):
        pair_files(*folders)


def test_names_that_do_not_match(touch):
    folders = touch('images/img1.jpg', 'images/img2.jpg', 'masks/lab1.png', 'masks/lab2.png')
    sentence = r'2 of 2 pictures have no mask: img1.jpg needs img1.png in .*, which holds lab1.png'
    with pytest.raises(FileNotFoundError, match=sentence):
        pair_files(*folders)


def test_capital_letters_in_names(touch):
    folders = touch('images/Cat.jpg', 'masks/cat.png')
    with pytest.raises(FileNotFoundError, match='capital and small letters'):
        pair_files(*folders)


def test_a_few_without_a_mask_are_told(touch):
    names = [f'images/{i}.jpg' for i in range(5)] + [f'masks/{i}.png' for i in range(4)]
    pairs = pair_files(*touch(*names, 'masks/9.png'))
    assert pairs.names == ['0', '1', '2', '3']
    assert '1 of 5 pictures have no mask and are left out, such as 4.jpg.' in pairs.warnings
    assert any('1 of 5 masks' in line and '9.png' in line for line in pairs.warnings)


def test_jpeg_masks_are_refused(touch):
    with pytest.raises(ValueError, match='1 of 1 masks .* are JPEGs, such as a.jpg.* as PNG'):
        pair_files(*touch('images/a.jpg', 'masks/a.jpg'))


def test_hidden_files_are_passed_over(touch):
    pairs = pair_files(
        *touch('images/a.jpg', 'images/._a.jpg', 'images/__MACOSX/b.png', 'masks/a.png')
    )
    assert pairs.names == ['a']


def test_missing_and_empty_folders(touch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"images='nowhere' is not a folder"):
        pair_files('nowhere', tmp_path)
    images, masks = touch('images/notes.txt', 'masks/a.png')
    with pytest.raises(FileNotFoundError, match='no picture in .*images: it must hold files that'):
        pair_files(images, masks)
    images, masks = touch('more/a.png', 'images/a.png')
    with pytest.raises(FileNotFoundError, match='no mask in'):
        pair_files(images, touch('none/a.txt')[0].parent / 'none')
    with pytest.raises(ValueError, match=re.escape(f'both {images}: give two folders')):
        pair_files(images, images)


def test_folders_of_raters(touch, tmp_path):
    images, masks = touch(
        *(f'images/{i}.jpg' for i in 'ab'),
        *(f'masks/rater{n}/{i}.png' for n in (1, 2, 10) for i in 'ab'),
    )
    (masks / 'rater10/b.png').unlink()
    pairs = pair_files(images, masks)
    assert pairs.raters and [d.name for d in pairs.mask_dirs] == ['rater1', 'rater2', 'rater10']
    assert len(pairs.masks('a')) == 3 and len(pairs.masks('b')) == 2
    assert pairs.warnings == ['rater10 labelled 1 of 2 pictures.']
    assert pair_files(images, [masks / 'rater1', masks / 'rater2']).raters
    assert pair_files(images, masks / 'rater1').mask_dirs == [masks / 'rater1']
    with pytest.raises(ValueError, match='a folder for each rater'):
        pair_files(images, [masks / 'rater1', masks / 'rater1'])


def test_images_beside_raters_in_one_folder(touch, tmp_path):
    touch('set/images/a.png', 'set/rater1/a.png', 'set/rater2/a.png')
    pairs = pair_files(tmp_path / 'set/images', tmp_path / 'set')
    assert pairs.raters and pairs.names == ['a']


def test_masks_below_the_images_are_no_pictures(touch, tmp_path):
    touch('all/a.png', 'all/masks/a.png')
    assert pair_files(tmp_path / 'all', tmp_path / 'all/masks').names == ['a']


def test_split_depends_on_names_alone():
    names = [f'p{i}' for i in range(40)]
    train, val, kept = split_names(names, share=0.2)
    assert len(val) == 8 and len(train) == 32 and not set(train) & set(val) and not kept
    again = split_names(names[::-1], share=0.2)
    assert set(again[1]) == set(val)
    assert val != names[:8] and val != names[-8:]


def test_a_new_picture_does_not_change_the_side_of_most():
    names = [f'p{i}' for i in range(40)]
    before = set(split_names(names, share=0.2)[1])
    after = set(split_names([*names, 'q'], share=0.2)[1])
    assert len(before & after) >= len(before) - 1


@pytest.mark.parametrize(
    'names, group',
    [
        ([f'patient{p}_{i}' for p in range(8) for i in range(5)], lambda n: n.split('_')[0]),
        ([f'Image_{p:02}{side}' for p in range(14) for side in 'LR'], lambda n: n[:-1]),
        ([f'slide{p}/tile{i}' for p in range(6) for i in range(6)], lambda n: n.split('/')[0]),
    ],
)
def test_what_belongs_together_stays_together(names, group):
    train, val, _ = split_names(names, share=0.2)
    assert not {group(name) for name in train} & {group(name) for name in val}
    assert 0.1 < len(val) / len(names) < 0.4


def test_folders_say_the_split():
    names = ['Train/a', 'Train/b', 'valid/c', 'test/d']
    assert split_names(names, share=0.5) == (['Train/a', 'Train/b'], ['valid/c'], ['test/d'])
    # nothing to validate on
    train, val, kept = split_names(['train/a', 'train/b', 'test/d'], share=0.5)
    assert len(train) == len(val) == 1 and kept == ['test/d']
