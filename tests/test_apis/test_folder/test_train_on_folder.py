import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdiffseg.apis import train_on_folder
from mmdiffseg.apis.load import load
from mmdiffseg.apis.palette import colours
from mmdiffseg.apis.train_on_folder import train

REPO = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def folders(draw, tmp_path_factory):
    return draw.pairs(tmp_path_factory.mktemp('data'), 10, suffix='.jpg', size=(64, 48))


@pytest.fixture
def quick(monkeypatch):
    """Leaves out the measurement, which takes longer than a training of a test."""
    monkeypatch.setattr(
        'mmdiffseg.apis.folder.plan.measure', lambda cfg, sizes: dict(iteration=5.0, picture=50.0)
    )


@pytest.fixture(scope='module')
def run(folders, tmp_path_factory):
    """A training of DDP, and what it has returned. Read only."""
    out = tmp_path_factory.mktemp('run') / 'out'
    images, masks = folders
    return out, train(images, masks=masks, out=out, method='ddp', iterations=60)


def test_report(run, folders):
    out, report = run
    assert report == json.loads((out / 'report.json').read_text())
    assert report['pictures'] == 10 and report['raters'] == 1
    assert list(report['scores']) == ['model', 'mean mask', 'all background']
    assert report['decides'] == 'mIoU'
    scores = {name: row['mIoU'] for name, row in report['scores'].items()}
    assert scores['all background'] == 0
    assert scores['model'] > 60 > scores['mean mask'] > 0 and report['better']


def test_the_mean_mask_is_scored_as_it_is(run, folders):
    images, masks = folders
    out, report = run
    split = {name: (out / f'splits/{name}.txt').read_text().split() for name in ('train', 'val')}
    assert sorted(split['train'] + split['val']) == [f'p{i}' for i in range(10)]
    read = {
        part: np.stack([np.array(Image.open(masks / f'{name}.png')) > 0 for name in names])
        for part, names in split.items()
    }
    mean = read['train'].mean(axis=0)

    def iou(threshold, truth):
        answer = mean > threshold
        both = (answer & truth).sum(axis=(1, 2)) / (answer | truth).sum(axis=(1, 2))
        return 100 * both.mean()

    best = max((share / 20 for share in range(20)), key=lambda t: iou(t, read['train']))
    # the report averages on a grid, which blurs the edges
    assert report['scores']['mean mask']['mIoU'] == pytest.approx(iou(best, read['val']), abs=4)


def test_preview_shows_the_validation_pictures(run):
    page = np.asarray(Image.open(run[0] / 'preview.png'))
    assert page.shape[1] > 4 * 256
    # truth and prediction mark the squares, which are 225 bright: 0.7 of the colour over them
    marked = 0.3 * 225 + 0.7 * np.array(colours(['background', 'foreground'])[1])
    assert (np.abs(page - marked).sum(axis=-1) < 40).mean() > 0.005


def test_config_repeats_the_training(run, tmp_path):
    out, _ = run
    options = ['--cfg-options', 'train_cfg.max_iters=1', '--work-dir', tmp_path / 'again']
    command = [sys.executable, REPO / 'tools/train.py', out / 'config.py', *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'again/iter_1.pth').exists()


def test_nothing_is_overwritten(run, folders, tmp_path):
    images, masks = folders
    with pytest.raises(FileExistsError, match='is not empty'):
        train(images, masks=masks, out=run[0], iterations=1)
    with pytest.raises(FileExistsError, match='among the inputs'):
        train(images, masks=masks, out=images / 'out', iterations=1)
    with pytest.raises(FileNotFoundError, match='holds no training to go on with'):
        train(images, masks=masks, out=tmp_path, resume=True)


def test_stopped_training_goes_on(folders, tmp_path, monkeypatch, capsys, quick):
    images, masks = folders

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr('mmdiffseg.engine.hooks.preview_hook.PreviewHook.after_val_epoch', stop)
        with pytest.raises(KeyboardInterrupt):
            train(images, masks=masks, out=tmp_path / 'out', method='ddp', iterations=2)
    config = (tmp_path / 'out/config.py').read_text()
    longer = config.replace('max_iters=2', 'max_iters=4').replace(
        'val_interval=2', 'val_interval=4'
    )
    (tmp_path / 'out/config.py').write_text(longer)
    with pytest.raises(FileExistsError, match='checkpoints of an earlier training'):
        train(images, masks=masks, out=tmp_path / 'out', method='ddp', iterations=2)
    capsys.readouterr()
    train(images, masks=masks, out=tmp_path / 'out', resume=True)
    assert 'iteration 4 of 4' in capsys.readouterr().out
    assert (tmp_path / 'out/run/iter_4.pth').exists()


def test_raters_get_a_head_that_samples(draw, tmp_path, quick):
    images, masks = draw.pairs(tmp_path, 4)
    for rater in (1, 2):
        for i in range(4):
            inside = draw.square(i)
            inside[: 24 * (rater - 1)] = False
            draw.mask(masks / f'rater{rater}/p{i}.png', inside.astype(np.uint8))
    with pytest.raises(ValueError, match="method='ddp' learns one answer and there are 2 raters"):
        train(images, masks=masks, out=tmp_path / 'out', method='ddp')
    report = train(images, masks=masks, out=tmp_path / 'out', iterations=1)
    config = Config.fromfile(tmp_path / 'out/config.py')
    assert config.model.type == 'mmdiffseg.StochasticSegmentor'
    assert config.train_dataloader.dataset.type == 'mmdiffseg.MultiRaterDataset'
    assert report['decides'] == 'HM_IoU' and report['raters'] == 2
    assert 'HM_IoU@4' in report['scores']['model']
    assert 'HM_IoU@1' in report['scores']['mean mask']


def test_several_classes_in_large_pictures(draw, tmp_path, quick):
    images, masks = draw.pairs(tmp_path, 3, size=(701, 640))
    for i in range(3):
        labels = draw.square(i, (701, 640)).astype(np.uint8)
        labels[:50] = 2
        draw.mask(masks / f'p{i}.png', labels)
    report = train(images, masks=masks, out=tmp_path / 'out', method='ddp', iterations=1)
    assert list(report['classes']) == ['class 0', 'class 1', 'class 2']
    config = Config.fromfile(tmp_path / 'out/config.py')
    assert config.val_dataloader.dataset.type == 'mmdiffseg.SegFolderDataset'
    assert config.model.decode_head.num_classes == 3
    (resize,) = (step for step in config.test_pipeline if step.type == 'Resize')
    window = config.model.test_cfg.crop_size[0]
    assert resize.scale_factor == pytest.approx(window / (701 * 640) ** 0.5, abs=1e-3)
    assert config.train_pipeline[3] == resize  # labels are shrunk with their pictures


def test_goes_on_from_a_model(run, folders, tmp_path, quick):
    images, masks = folders
    base = run[0] / 'model'
    report = train(images, masks=masks, out=tmp_path / 'out', base=base, iterations=1)
    assert report['scores']['model']['mIoU'] > 60  # one iteration from scratch gives nothing
    config = Config.fromfile(tmp_path / 'out/config.py')
    assert config.crop_size == (32, 32) and config.model.type == 'EncoderDecoder'
    with pytest.raises(ValueError, match='the base knows 2 classes .* and the masks hold 3'):
        train(
            images,
            masks=three_classes(masks, tmp_path / 'three'),
            out=tmp_path / 'other',
            base=base,
            classes=['a', 'b', 'c'],
        )


def three_classes(masks, folder):
    folder.mkdir()
    for path in masks.iterdir():
        labels = (np.array(Image.open(path)) > 0).astype(np.uint8)
        labels[0] = 2
        Image.fromarray(labels).save(folder / path.name)
    return folder


def test_the_model_folder_is_loaded(run, folders):
    out, report = run
    model = load(out / 'model', device='cpu')
    assert model.meta['classes'] == ['background', 'foreground']
    name = (out / 'splits/val.txt').read_text().split()[0]
    labels = model(folders[0] / f'{name}.jpg').labels
    truth = np.array(Image.open(folders[1] / f'{name}.png')) > 0
    assert (labels[truth] == 1).mean() > 0.5 > (labels[~truth] == 1).mean()
    card = (out / 'model/README.md').read_text()
    assert f'{report["scores"]["model"]["mIoU"]:.4g}' in card
    # where the pictures of this machine lie is nobody's business
    assert str(folders[0].parent) not in (out / 'model/config.json').read_text()


def test_the_time_bounds_training_and_validation(folders, tmp_path, monkeypatch, capsys, quick):
    images, masks = folders
    planned = {}
    monkeypatch.setattr(train_on_folder, '_run', lambda cfg, out, **more: planned.update(cfg=cfg))
    monkeypatch.setattr(train_on_folder, 'make_report', lambda *args, **kwargs: {})
    monkeypatch.setattr(train_on_folder, 'write_report', lambda *args, **kwargs: None)
    monkeypatch.setattr(train_on_folder, 'summary', lambda report: '')
    train(images, masks=masks, out=tmp_path / 'out', method='ddp', minutes=5)
    cfg = planned['cfg']
    # a quarter of 5 minutes is enough for one picture of 50 seconds; 0.8 of what is left is planned
    assert cfg.val_dataloader.dataset.indices == [0]
    assert cfg.train_cfg.max_iters in range(30, 41)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    out = capsys.readouterr().out
    assert (
        'time to validate on 1 of 2 pictures' in out
        and 'iterations fit into the time, which are few' in out
    )


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(method='sam'), "method='sam': choose one of stochastic, segdiff, ddp"),
        (dict(minutes=0), 'minutes=0 must be above 0'),
        (dict(iterations=0), 'iterations=0 must be 1 or more'),
        (dict(val=1), 'val=1 is a share'),
        (dict(method='ddp', base='nuclei'), "base='nuclei' brings its own method"),
        (dict(classes=['a']), 'names 1 classes and the masks have 2'),
    ],
)
def test_bad_arguments(folders, tmp_path, options, sentence):
    images, masks = folders
    with pytest.raises(ValueError, match=re.escape(sentence)):
        train(images, masks=masks, out=tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_a_single_picture_cannot_be_split(draw, tmp_path):
    images, masks = draw.pairs(tmp_path, 1)
    with pytest.raises(ValueError, match='1 pictures leave 0 to train and 1 to validate on'):
        train(images, masks=masks, out=tmp_path / 'out')
