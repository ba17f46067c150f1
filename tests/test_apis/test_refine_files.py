import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mmdiffseg.apis.refine_files import refine_coco, refine_folder


@pytest.fixture
def refiner(load_untrained):
    model = load_untrained('refine/refine_tiny_mixed')
    model.model.test_cfg.update(size=32, min_area=8)
    return model


@pytest.fixture
def folder(tmp_path, picture):
    for name in ('images/a.jpg', 'images/sub/000007.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 12:40] = 255
    for name in ('masks/a.png', 'masks/sub/000007.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return tmp_path


def test_a_folder_of_masks(refiner, folder):
    options = dict(images=folder / 'images', masks=folder / 'masks', out=folder / 'out')
    written = list(refine_folder(refiner, **options, steps=2))
    assert written == [folder / 'out/a.png', folder / 'out/sub/000007.png']
    with Image.open(written[0]) as found:
        values = np.array(found)
    expected = refiner.refine(
        folder / 'images/a.jpg', np.array(Image.open(folder / 'masks/a.png')), steps=2
    )
    assert np.array_equal(values, expected.labels * 255)
    with pytest.raises(FileExistsError, match='a.png exists'):
        list(refine_folder(refiner, **options))
    assert len(list(refine_folder(refiner, **options, overwrite=True, steps=1))) == 2
    Image.fromarray(values[:20]).save(folder / 'masks/a.png')
    with pytest.raises(ValueError, match='a.png: the mask is 64x20 and the picture 64x48'):
        list(refine_folder(refiner, **options, overwrite=True))
    (folder / 'masks/a.png').unlink()
    with pytest.raises(FileNotFoundError, match='a.jpg has no mask'):
        list(refine_folder(refiner, **options, overwrite=True))


def polygon(x):
    return [[x, 10, x + 20, 10, x + 20, 30, x, 30]]


def test_annotations_in_and_out(refiner, folder):
    rows = [
        dict(id=1, image_id=3, category_id=1, segmentation=polygon(5), area=400),
        dict(id=2, image_id=3, category_id=2, segmentation=polygon(35), score=0.5, iscrowd=0),
        dict(id=3, image_id=3, category_id=2, segmentation=polygon(1), iscrowd=1),
        dict(id=4, image_id=3, category_id=2, segmentation=[[0, 0, 2, 0, 2, 2, 0, 2]]),
    ]
    images = [dict(id=3, file_name='a.jpg', height=48, width=64)]
    source, out = folder / 'in.json', folder / 'out.json'
    source.write_text(json.dumps(dict(images=images, annotations=rows, categories=[1])))
    count = refine_coco(refiner, images=folder / 'images', annotations=source, out=out, steps=2)
    found = json.loads(out.read_text())
    assert count == 2 and found['images'] == images and found['categories'] == [1]
    new = found['annotations']
    assert new[2:] == rows[2:]  # a crowd, and an object of four pixels
    for before, after in zip(rows[:2], new[:2], strict=True):
        mask = coco.decode(after['segmentation'])
        assert mask.shape == (48, 64) and after['area'] == mask.sum()
        assert after['bbox'] == coco.toBbox(after['segmentation']).tolist()
        assert after['id'] == before['id'] and after.get('score') == before.get('score')
    options = dict(images=folder / 'images', annotations=source, out=out)
    with pytest.raises(FileExistsError, match='out.json exists'):
        refine_coco(refiner, **options)
    # one mask at a time
    refiner.model.decode_head.max_batch = 1
    refine, sizes = refiner.model.refine, []
    refiner.model.refine = lambda t, **how: sizes.append(len(t)) or refine(t, **how)
    refine_coco(refiner, **options, steps=2, overwrite=True)
    assert json.loads(out.read_text()) == found and sizes == [1, 1, 1]
    source.write_text(json.dumps(dict(images=[], annotations=rows)))
    with pytest.raises(ValueError, match='the image 3 of an annotation is not among the images'):
        refine_coco(refiner, **options, overwrite=True)
    source.write_text(json.dumps(dict(annotations=rows)))
    with pytest.raises(ValueError, match='in.json holds no images'):
        refine_coco(refiner, **options, overwrite=True)


def test_results_find_their_pictures_by_number(refiner, folder):
    source = folder / 'results.json'
    rows = [dict(image_id=7, category_id=1, score=0.9, segmentation=polygon(5))]
    source.write_text(json.dumps(rows))
    options = dict(images=folder / 'images/sub', annotations=source, steps=1)
    assert refine_coco(refiner, out=folder / 'o.json', **options) == 1
    assert json.loads((folder / 'o.json').read_text())[0]['score'] == 0.9
    source.write_text(json.dumps([dict(rows[0], image_id=8)]))
    with pytest.raises(FileNotFoundError, match='called by the number 8'):
        refine_coco(refiner, out=folder / 'p.json', **options)


def test_only_refiners_take_coco(tiny, folder):
    with pytest.raises(ValueError, match='StochasticSegmentor is not a refiner'):
        refine_coco(tiny, images=folder, annotations=folder / 'in.json', out=folder / 'o.json')


def test_from_a_shell(refiner, folder, monkeypatch, capsys):
    from mmdiffseg import cli
    from mmdiffseg.commands import refine

    monkeypatch.setattr(refine, 'load_model', lambda args: refiner)
    source = folder / 'results.json'
    rows = [dict(image_id=7, category_id=1, score=0.9, segmentation=polygon(5))]
    source.write_text(json.dumps(rows))
    calls = [
        ('images', 'masks', 'refined', ['--steps', '1']),
        ('images/sub', 'results.json', 'refined.json', ['--generations', '2', '--json']),
    ]
    for images, masks, out, more in calls:
        paths = ['--images', folder / images, '--masks', folder / masks, '--out', folder / out]
        args = cli.parse_args(['refine', 'refiner', *map(str, paths), *more])
        args.run(args)
    assert len(list((folder / 'refined').rglob('*.png'))) == 2
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[-1]) == dict(out=str(folder / 'refined.json'), refined=1)
