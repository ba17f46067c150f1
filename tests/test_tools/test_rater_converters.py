"""CHASE_DB1, DRIVE, LIDC and QUBIQ become folders of images and of masks by several raters."""

import pickle

import cv2
import numpy as np
import pytest
from lidc import split_of
from PIL import Image

RETINA = 'dataset_converters/retina.py'
LIDC = 'dataset_converters/lidc.py'
QUBIQ = 'dataset_converters/qubiq.py'
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def mask(pixels, value=255, shape=(20, 30)):
    result = np.zeros(shape, np.uint8)
    result.flat[:pixels] = value
    return result


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())


@pytest.fixture
def chase(tmp_path):
    for name in ('01L', '11R'):
        save(tmp_path / f'in/Image_{name}.jpg', PICTURE)
        save(tmp_path / f'in/Image_{name}_1stHO.png', mask(5))
        save(tmp_path / f'in/Image_{name}_2ndHO.png', mask(7))
    return tmp_path


def test_chase_db1(call_tool, chase, capsys):
    call_tool(RETINA, 'chase_db1', chase / 'in', '--out', chase / 'out')
    assert capsys.readouterr().out.endswith('out: 1 images to train, 1 images to val\n')
    assert files(chase / 'out') == [
        'images/train/01L.jpg',
        'images/val/11R.jpg',
        'rater1/train/01L.png',
        'rater1/val/11R.png',
        'rater2/train/01L.png',
        'rater2/val/11R.png',
    ]
    source, copy = chase / 'in/Image_01L.jpg', chase / 'out/images/train/01L.jpg'
    assert copy.read_bytes() == source.read_bytes()
    assert (read(chase / 'out/rater2/val/11R.png') == mask(7, value=1)).all()


def test_drive(call_tool, tmp_path):
    root = tmp_path / 'in'
    view = np.full((20, 30), 255, np.uint8)
    view[-1] = 0
    for folder, number, name in (('training', 21, '21_training'), ('test', '01', '01_test')):
        save(root / folder / f'images/{name}.tif', PICTURE)
        save(root / folder / f'mask/{name}_mask.gif', view)
        save(root / folder / f'1st_manual/{number}_manual1.gif', mask(5))
    save(root / 'test/2nd_manual/01_manual2.gif', mask(7))
    call_tool(RETINA, 'drive', root, '--out', tmp_path / 'out')
    assert files(tmp_path / 'out') == [
        'images/test/01.png',
        'images/train/21.png',
        'rater1/test/01.png',
        'rater1/train/21.png',
        'rater2/test/01.png',
    ]
    assert (read(tmp_path / 'out/images/test/01.png') == PICTURE[..., ::-1]).all()
    labels = read(tmp_path / 'out/rater2/test/01.png')
    assert (labels[:-1] == mask(7, value=1)[:-1]).all()
    assert (labels[-1] == 255).all()


def test_a_missing_observer_is_named(call_tool, chase, refusal):
    (chase / 'in/Image_11R_2ndHO.png').unlink()
    with refusal('no file .*Image_11R_2ndHO.png: is the archive complete'):
        call_tool(RETINA, 'chase_db1', chase / 'in', '--out', chase / 'out')
    assert not (chase / 'out').exists()


def test_masks_of_another_size_are_named(call_tool, chase, refusal):
    save(chase / 'in/Image_11R_2ndHO.png', mask(7, shape=(20, 20)))
    with refusal('11R: the mask of rater 2 is 20x20, the image 30x20'):
        call_tool(RETINA, 'chase_db1', chase / 'in', '--out', chase / 'out')


def crop(uid, pixels=9, **changes):
    masks = [mask(pixels, value=1, shape=(128, 128)).astype(float) for _ in range(4)]
    image = np.linspace(0, 1, 128 * 128).reshape(128, 128)
    return dict(image=image, masks=masks, series_uid=uid) | changes


def test_lidc_v1_splits_by_scan(call_tool, tmp_path):
    crops = {f'slice_{i}': crop(f'1.3.6.{i // 2}', pixels=i) for i in range(60)}
    (tmp_path / 'data.pickle').write_bytes(pickle.dumps(crops))
    call_tool(LIDC, tmp_path / 'data.pickle', '--out', tmp_path / 'out')
    split = {p.stem: p.parent.name for p in (tmp_path / 'out/images').rglob('*.png')}
    assert len(split) == 60
    assert all(split[f'slice_{i}'] == split[f'slice_{i + 1}'] for i in range(0, 60, 2))
    labels = read(tmp_path / f'out/rater4/{split["slice_7"]}/slice_7.png')
    assert (labels == mask(7, value=1, shape=(128, 128))).all()
    assert read(tmp_path / f'out/images/{split["slice_7"]}/slice_7.png').max() == 255


def test_lidc_v1_splits_64_16_20():
    splits = [split_of(f'1.3.6.1.{i}') for i in range(5000)]
    for split, share in dict(train=0.64, val=0.16, test=0.2).items():
        assert splits.count(split) / 5000 == pytest.approx(share, abs=0.03)


class Evil:
    def __reduce__(self):
        return (print, ('owned',))


def test_lidc_runs_nothing_out_of_a_pickle(call_tool, tmp_path, capsys, refusal):
    (tmp_path / 'data.pickle').write_bytes(pickle.dumps(dict(a=crop('1', image=Evil()))))
    with refusal('asks for builtins.print, .* is not loaded'):
        call_tool(LIDC, tmp_path / 'data.pickle', '--out', tmp_path / 'out')
    assert 'owned' not in capsys.readouterr().out


def test_lidc_refuses_other_intensities_and_fewer_raters(call_tool, tmp_path, refusal):
    for changes, message in (
        (dict(image=np.full((128, 128), 7.0)), 'a ranges from 7.0 to 7.0'),
        (dict(masks=[mask(0)]), 'a has 1 masks instead of 4'),
    ):
        (tmp_path / 'data.pickle').write_bytes(pickle.dumps(dict(a=crop('1', **changes))))
        with refusal(message):
            call_tool(LIDC, tmp_path / 'data.pickle', '--out', tmp_path / 'out')


def test_lidc_v2_keeps_the_middle(call_tool, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (180, 180), np.uint8)
    save(tmp_path / 'in/val/images/patient7/z3_c0.png', pixels)
    for rater in range(4):
        labels = np.zeros((180, 180), np.uint8)
        labels[26, 26 : 27 + rater] = 255
        save(tmp_path / f'in/val/gt/patient7/z3_c0_l{rater}.png', labels)
    call_tool(LIDC, tmp_path / 'in', '--out', tmp_path / 'out')
    image = read(tmp_path / 'out/images/val/patient7_z3_c0.png')
    assert (image == pixels[26:-26, 26:-26]).all()
    for rater in range(4):
        labels = read(tmp_path / f'out/rater{rater + 1}/val/patient7_z3_c0.png')
        assert (labels == mask(rater + 1, value=1, shape=(128, 128))).all()


def test_qubiq(call_tool, tmp_path, refusal):
    nibabel = pytest.importorskip('nibabel')

    def nifti(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.Nifti1Image(np.asarray(pixels, np.float32), np.eye(4)).to_filename(path)

    for split, raters in (('Training', 3), ('Validation', 2)):
        case = tmp_path / f'in/{split}/case01'
        nifti(case / 'image.nii.gz', np.arange(600).reshape(20, 30))
        for number in range(raters):
            nifti(case / f'task01_seg{number + 1:02d}.nii.gz', mask(number + 1, value=1))
    call_tool(QUBIQ, tmp_path / 'in', '--out', tmp_path / 'out')
    assert files(tmp_path / 'out') == [
        'images/train/case01.png',
        'images/val/case01.png',
        *[f'rater{n}/{split}/case01.png' for n in (1, 2) for split in ('train', 'val')],
        'rater3/train/case01.png',
    ]
    assert (read(tmp_path / 'out/rater3/train/case01.png') == mask(3, value=1)).all()
    image = read(tmp_path / 'out/images/val/case01.png')
    assert (image.min(), image.max()) == (0, 255)
    nifti(tmp_path / 'in/Training/case01/task02_seg01.nii.gz', mask(9, value=1))
    with refusal(r'tasks \[1, 2\]: choose one by --task'):
        call_tool(QUBIQ, tmp_path / 'in', '--out', tmp_path / 'two')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((RETINA, 'drive'), 'holds no images of drive'),
        ((LIDC,), 'holds no crops'),
    ],
)
def test_empty_folders_are_refused(call_tool, tmp_path, arguments, message, refusal):
    (tmp_path / 'in').mkdir()
    with refusal(message):
        call_tool(*arguments, tmp_path / 'in', '--out', tmp_path / 'out')
