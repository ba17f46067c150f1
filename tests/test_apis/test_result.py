import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mmdiffseg.apis.result import Result, Segment

PALETTE = [(40, 40, 40), (200, 30, 30), (30, 200, 30)]


@pytest.fixture
def result(picture):
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 5:35] = 1
    labels[30:40, 40:] = 2
    return Result(
        image=picture,
        name='deep/a.jpg',
        classes=('background', 'cell', 'dust'),
        palette=PALETTE,
        labels=labels,
        samples=np.stack([labels, 0 * labels]),
        uncertainty=np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64),
        inner=labels == 1,
        outer=labels > 0,
    )


def test_labels_come_back_from_the_file_in_their_colours(result, tmp_path):
    path = result.save(tmp_path)
    assert path == tmp_path / 'labels/deep/a.png'
    with Image.open(path) as picture:
        assert np.array_equal(np.array(picture), result.labels)
        assert picture.convert('RGB').getpixel((6, 11)) == PALETTE[1]
    assert Image.open(tmp_path / 'panels/deep/a.png').width > 1000
    assert not list(tmp_path.rglob('*.part'))


def test_masks_are_run_lengths_as_coco_has_them(result, tmp_path):
    result.save(tmp_path)
    content = json.loads((tmp_path / 'masks/deep/a.json').read_text())
    rows = {row['category']: row for row in content['segments']}
    assert content['image'] == 'deep/a.jpg' and set(rows) == {'background', 'cell', 'dust'}
    assert rows['cell']['bbox'] == [5, 10, 30, 10] and rows['cell']['area'] == 300
    assert np.array_equal(coco.decode(rows['dust']['segmentation']) == 1, result.labels == 2)


def test_objects_may_overlap_and_have_scores(result):
    masks = np.zeros((2, 48, 64), bool)
    masks[0, :10], masks[1, 5:15] = True, True
    result.segments = [Segment(label=1, mask=m, score=s) for m, s in zip(masks, (0.9, 0.5))]  # noqa: B905
    assert [(row['area'], row['score']) for row in result.rle()] == [(640, 0.9), (640, 0.5)]


def test_nothing_is_overwritten_unasked(result, tmp_path):
    path = result.save(tmp_path)
    path.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='a.png exists: choose another folder'):
        result.save(tmp_path)
    assert path.read_bytes() == b'mine'
    result.save(tmp_path, overwrite=True)
    assert path.read_bytes() != b'mine'


def test_the_labels_are_written_last(result, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError('no space left')

    monkeypatch.setattr(Result, '_label_picture', full)
    with pytest.raises(OSError, match='no space'):
        result.save(tmp_path)
    assert not result.main_file(tmp_path).exists()


def test_the_panel_shows_what_is_known(result):
    full = result.panel()
    result.samples = result.uncertainty = result.inner = result.outer = None
    assert result.panel().shape[0] < full.shape[0]
    assert result._repr_png_().startswith(b'\x89PNG')
    # green on the zones of the full page: inside for certain
    assert (np.abs(full.astype(int) - (46, 184, 92)).max(axis=2) < 60).any()


@pytest.mark.parametrize('missing, colour', [('inner', (243, 156, 18)), ('outer', (46, 184, 92))])
def test_a_guarantee_may_promise_one_mask_alone(result, missing, colour):
    def has_colour(page):
        # without their brightness, which makes greys and text alike
        page, tone = page.astype(int), np.array(colour)
        page, tone = page - page.mean(axis=2, keepdims=True), tone - tone.mean()
        return (np.abs(page - tone).max(axis=2) < 60).any()

    # black, and classes that are never orange or green
    result.image, result.palette = np.zeros_like(result.image), [(40, 40, 200)] * 3
    result.uncertainty = None
    setattr(result, missing, None)
    assert has_colour(result.panel())
    result.inner = result.outer = None
    assert not has_colour(result.panel())


def test_depth_is_kept_in_metres(picture, tmp_path):
    depth = np.linspace(1, 80, 48 * 64, dtype=np.float32).reshape(48, 64)
    result = Result(image=picture, name='a', classes=(), palette=(), depth=depth)
    path = result.save(tmp_path)
    assert path == tmp_path / 'depth/a.npy' and np.array_equal(np.load(path), depth)
    assert result.panel().shape[2] == 3


def test_labels_beyond_a_byte(picture, tmp_path):
    labels = np.full((48, 64), 300, np.uint16)
    labels[0] = 65535
    classes = [str(n) for n in range(301)]
    result = Result(
        image=picture, name='a', classes=classes, palette=[(9, 9, 9)] * 301, labels=labels
    )
    assert np.array_equal(np.array(Image.open(result.save(tmp_path))), labels)
    assert [row['category'] for row in result.rle()] == ['300']


def test_a_map_has_cells_of_its_own(result):
    result.labels, result.samples = result.labels[:30, :40], None
    result.uncertainty = result.inner = result.outer = None
    assert result.panel().shape[2] == 3


def test_no_torch_is_needed():
    import ast
    from pathlib import Path

    from mmdiffseg.apis import result as module

    nodes = ast.walk(ast.parse(Path(module.__file__).read_text()))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert 'torch' not in names and 'mmengine' not in names
