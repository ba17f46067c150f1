import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from mmdiffseg.apis import pictures
from mmdiffseg.apis.pictures import decode, find_sources, is_single, read_pixels


def encoded(image, kind='PNG', **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read_all(images):
    return [source.read() for source in find_sources(images)]


def test_every_form_of_a_picture_is_the_same(picture, tmp_path):
    path = tmp_path / 'a.PNG'
    Image.fromarray(picture).save(path)
    for form in (picture, path, str(path), path.read_bytes(), Image.fromarray(picture)):
        assert is_single(form)
        (found,) = read_all(form)
        assert np.array_equal(found.pixels, picture)
    assert [p.name for p in read_all([picture, path, picture])] == ['0', 'a.PNG', '2']


def test_grey_pictures_get_three_channels(picture):
    for grey in (picture[..., 0], picture[..., :1]):
        (found,) = read_all(grey)
        assert np.array_equal(found.pixels, np.repeat(picture[..., :1], 3, axis=2))


def test_orientation_of_the_camera_is_applied(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(picture).save(tmp_path / 'a.png', exif=exif)
    found = read_pixels(tmp_path / 'a.png')
    assert np.array_equal(found, np.rot90(picture, -1))


def test_files_are_decoded_as_a_test_run_decodes_them(picture):
    smooth = cv2.resize(picture, (97, 61), interpolation=cv2.INTER_CUBIC)
    sixteen = Image.fromarray(smooth[..., 0].astype(np.uint16) * 257 + 99)
    for content in (
        encoded(Image.fromarray(smooth), 'JPEG', quality=80),
        encoded(Image.fromarray(smooth[..., 0]), 'JPEG'),
        encoded(Image.fromarray(smooth).quantize(16)),
        encoded(sixteen),
    ):
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(decode(content, name='a')[..., ::-1], expected)


def test_folders_and_patterns(picture, tmp_path):
    for name in ('b.png', 'a.JPG', 'deep/c.tif', '.hidden.png', 'notes.txt'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == '.txt':
            path.write_text('')
        else:
            Image.fromarray(picture).save(path)
    assert [s.name for s in find_sources(tmp_path)] == ['a.JPG', 'b.png', 'deep/c.tif']
    assert [s.name for s in find_sources(f'{tmp_path}/*.png')] == ['b.png']
    assert not is_single(tmp_path) and not is_single(f'{tmp_path}/*.png')
    Image.fromarray(picture).save(tmp_path / 'odd[1].png')
    assert [s.name for s in find_sources(tmp_path / 'odd[1].png')] == ['odd[1].png']


def test_the_frames_of_a_video(tmp_path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for number in range(3):
        writer.write(np.full((48, 64, 3), (0, 0, 80 * number), np.uint8))  # red, in BGR
    writer.release()
    frames = read_all(path)
    assert [frame.name for frame in frames] == ['clip_000000', 'clip_000001', 'clip_000002']
    assert frames[2].pixels.shape == (48, 64, 3) and frames[2].path == path
    assert frames[2].pixels[..., 0].mean() > 140 and frames[2].pixels[..., 2].mean() < 20
    path.write_bytes(b'no video')
    with pytest.raises(ValueError, match='clip.avi cannot be read as a video'):
        read_all(path)


@pytest.mark.parametrize(
    'images, sentence',
    [
        (np.zeros((4, 4, 3)), r'got float64 \(4, 4, 3\)'),
        (np.zeros((2, 4, 4, 3), np.uint8), r'got uint8 \(2, 4, 4, 3\)'),
        (np.zeros((4, 4, 4), np.uint8), r'\(H, W, 3\) uint8 RGB, got uint8 \(4, 4, 4\)'),
        (np.zeros((0, 4), np.uint8), '0 has 4 x 0 pixels'),
        ([7], 'picture 0 is a int: give a path'),
        (b'', r'picture 0 cannot be read as a picture \(0 bytes\)'),
        ('https://somewhere/a.png', 'is an address, and nothing is downloaded'),
        (Image.new('F', (4, 4)), 'picture 0 holds fractions'),
    ],
)
def test_what_is_no_picture_is_said(images, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_all(images)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no picture .*a.png'):
        read_all(tmp_path / 'a.png')
    with pytest.raises(FileNotFoundError, match=r'no file fits the pattern .*\*.png'):
        read_all(f'{tmp_path}/*.png')
    with pytest.raises(ValueError, match='holds no picture'):
        read_all(tmp_path)


def test_damaged_files_are_named(picture, tmp_path):
    content = encoded(Image.fromarray(picture), 'JPEG')
    for number, part in enumerate((content[: len(content) // 2], b'text', content[:3])):
        path = tmp_path / f'{number}.jpg'
        path.write_bytes(part)
        with pytest.raises(ValueError, match=rf'{number}.jpg cannot be read .* \(\d+ bytes\)'):
            read_pixels(path)


def test_huge_pictures_are_refused_before_they_are_decoded(monkeypatch):
    header = encoded(Image.new('1', (11, 10)))
    monkeypatch.setattr(pictures, 'MAX_PIXELS', 100)
    monkeypatch.setattr(ImageFile.ImageFile, 'load', None)
    with pytest.raises(ValueError, match='a has 11 x 10 pixels, .* cut it into tiles'):
        decode(header, name='a')
    bomb = b'P5 60000 60000 255\n'
    with pytest.raises(ValueError, match='a cannot be read as a picture .*: Image size'):
        decode(bomb, name='a')
