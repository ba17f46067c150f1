"""The table of refiners and the curve of strengths, on models that are not trained."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools/analysis_tools'


@pytest.fixture
def world(tmp_path):
    """Two pictures of two sizes and their labels."""
    rng = np.random.default_rng(0)
    for name, size in dict(a=(40, 48), b=(48, 40)).items():
        for kind in ('images', 'labels'):
            (tmp_path / kind).mkdir(exist_ok=True)
        labels = np.zeros(size, np.uint8)
        y, x = rng.integers(4, 12, 2)
        labels[y : y + 20, x : x + 24] = 1
        picture = (90 * labels + rng.integers(0, 99, labels.shape)).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / f'labels/{name}.png')
        Image.fromarray(picture).convert('RGB').save(tmp_path / f'images/{name}.png')
    return tmp_path


def save_model(folder, name, **test_cfg):
    init_default_scope('mmseg')
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    config.model.test_cfg.update(test_cfg)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    config.dump(folder / 'model.py')
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    return f'{folder}/model.py,{folder}/model.pth'


def run(monkeypatch, name, *arguments):
    script = str(TOOLS / f'{name}.py')
    monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
    runpy.run_path(script, run_name='__main__')


def test_table_of_a_refiner(world, monkeypatch, capsys):
    model = save_model(world, 'refine/refine_tiny_mixed', size=32, min_area=8)
    data = ['--images', world / 'images', '--labels', world / 'labels', '--out-dir', world / 'out']
    more = ['--sources', 'box', 'dilated', '--masks', f'own={world}/labels', '--twin', model]
    run(monkeypatch, 'refine_table', model, *data, *more)
    records = json.loads((world / 'out/refine_table.json').read_text())
    rows = {(r['source'], r['row']): r for r in records}
    plain = {'coarse', 'median', 'opened', 'guided', 'refiner', 'once', 'twin'}
    assert {row for source, row in rows if source == 'truth'} == plain
    assert {row for source, row in rows if source == 'dilated'} == plain | {'other picture'}
    assert all(record['images'] == 2 for record in records)
    assert rows['truth', 'coarse']['IoU'] == rows['own', 'coarse']['BIoU'] == 100
    assert rows['truth', 'coarse']['changed'] == 0 < rows['dilated', 'refiner']['changed']
    gain, low, high = rows['dilated', 'refiner']['IoU_gain']
    assert low <= gain <= high
    assert rows['dilated', 'refiner']['IoU'] - rows['dilated', 'coarse']['IoU'] == pytest.approx(
        gain
    )
    assert 'dilated' in capsys.readouterr().out
    few = ['--sources', 'box', '--rows', 'once', '--every', 2, '--overwrite']
    run(monkeypatch, 'refine_table', model, *data, *few)
    records = json.loads((world / 'out/refine_table.json').read_text())
    assert [(r['source'], r['row']) for r in records] == [
        ('box', 'coarse'), ('box', 'once'), ('truth', 'coarse'), ('truth', 'once')
    ]  # fmt: skip


def test_curve_of_strengths(world, monkeypatch, capsys):
    model = save_model(world, 'segdiff/segdiff_shapes')
    options = ['--images', world / 'images', '--labels', world / 'labels', '--out-dir', world / 'o']
    run(monkeypatch, 'strength_curve', model, *options, '--strengths', 0.02, 0.1)
    found = json.loads((world / 'o/strength_curve.json').read_text())
    assert len(found['records']) == 2 * 3 * 2
    assert {r['start'] for r in found['records']} == {'truth', 'coarse', 'random'}
    assert 'strength' in capsys.readouterr().out


def test_table_of_a_video(world, monkeypatch, capsys):
    for kind in ('images', 'labels'):
        (world / kind / 'clip').mkdir()
        for path in sorted((world / kind).glob('*.png')):
            path.rename(world / kind / 'clip' / path.name)
            if path.name == 'b.png':  # frames of one size
                (world / kind / 'clip/b.png').write_bytes(
                    (world / kind / 'clip/a.png').read_bytes()
                )
    model = save_model(world, 'stochastic/categorical_ambiguous-shapes')
    data = ['--images', world / 'images', '--labels', world / 'labels', '--out-dir', world / 'out']
    run(monkeypatch, 'video_table', model, *data, '--strengths', 0.3, '--flows', 'none', 'dis')
    records = json.loads((world / 'out/video_table.json').read_text())
    rows = {r['row']: r for r in records}
    assert list(rows) == ['frames', 'once', 'one noise', 'still', 'video, 0.3', 'video, 0.3, dis']
    for record in records:
        assert record['video'] == 'clip' and record['BF'] is None  # one frame is left
        assert 0 <= record['J'] <= 100 and 0 <= record['F'] <= 100 and record['seconds'] > 0
    assert 'video, 0.3, dis' in capsys.readouterr().out


def test_scores_of_a_video():
    score = runpy.run_path(str(TOOLS / 'video_table.py'))['score']
    truths = np.zeros((4, 40, 40), bool)
    for t in range(4):
        truths[t, 10:30, 5 + t : 25 + t] = True
    perfect = score(list(truths), list(truths))
    assert perfect == dict(J=100, F=100, BF=0, excess=0)
    late = score([truths[0], *truths[:-1]], list(truths))
    assert late['J'] == pytest.approx(100 * 19 / 21) and late['excess'] == 0


def test_the_choice_needs_a_start_that_is_read():
    choose = runpy.run_path(str(TOOLS / 'strength_curve.py'))['choose']

    def records(strength, once, chain):
        return [
            dict(strength=strength, start=start, steps=steps, mIoU=value)
            for steps, values in (('once', once), ('chain', chain))
            for start, value in zip(('truth', 'coarse', 'random'), values, strict=True)
        ]

    read, unread = (
        records(0.1, (90, 80, 30), (91, 82, 30)),
        records(0.9, (85, 85, 84), (88, 89, 88)),
    )
    assert choose(read + unread, 5.0) == 0.1
    better = records(0.2, (90, 84, 40), (90, 86, 40))
    assert choose(read + better + unread, 5.0) == 0.2
    assert choose(unread, 5.0) is None


def test_bad_input(world, monkeypatch, capsys):
    data = ['--images', world / 'images', '--labels', world / 'labels']
    with pytest.raises(SystemExit):
        run(monkeypatch, 'refine_table', 'a', *data, '--masks', 'folder')
    assert '--masks takes NAME=FOLDER, got folder' in capsys.readouterr().err
    model = save_model(world, 'refine/refine_tiny_mixed', size=32, min_area=8)
    more = ['--out-dir', world / 'out', '--every', 2]
    for tool, sentence in (
        ('refine_table', 'gives one picture: leave the row "other picture" out'),
        ('strength_curve', 'gives one picture, and the control needs another one'),
    ):
        with pytest.raises(SystemExit):
            run(monkeypatch, tool, model, *data, *more)
        assert sentence in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, 'strength_curve', 'a', *data, '--out', world)
    assert 'is not a model folder' in capsys.readouterr().err


def test_batches_find_the_masks_of_one_crop_at_a_time(monkeypatch, capsys):
    small = ['--objects', 2, '--size', 48, 64, '--max-batch', 1, 2, '--runs', 1, '--warmup', 0]
    run(monkeypatch, 'refine_cost', 'refiner', *small)
    rows = [line.split('|') for line in capsys.readouterr().out.splitlines() if '|' in line]
    found = [[cell.strip() for cell in row[1:-1]] for row in rows[1:]]
    assert [row[:2] for row in found] == [[m, n] for m in ('object', 'patches') for n in '12']
    assert all(row[-1] == '0' for row in found)
