import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import mmdiffseg
from mmdiffseg import cli
from mmdiffseg.apis.load import build_model

REPO = Path(__file__).parents[2]
REPORT, CONFORMAL = 'analysis_tools/trust_report.py', 'analysis_tools/conformal.py'
IMAGES = 30
CONFIG = """
_base_ = {base!r}
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    decode_head=dict(
        _delete_=True, type='FCNHead', in_channels=32, in_index=0, channels=8, num_convs=1,
        concat_input=False, num_classes=2, norm_cfg=dict(type='BN')))
test_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(
        _delete_=True, type='mmdiffseg.BinarySegDataset', data_root={data!r}, foreground=255,
        data_prefix=dict(img_path='images', seg_map_path='masks'), img_suffix='.png',
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'), dict(type='mmdiffseg.LoadBinaryMask'),
            dict(type='PackSegInputs')]))
"""


def write_pictures(root, *, foreground=True):
    """Bright discs on noise; their masks are 0 and 255."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    for folder in ('images', 'masks'):
        (root / folder).mkdir(parents=True)
    for number in range(IMAGES):
        y, x, radius = rng.integers(8, 24), rng.integers(8, 24), rng.integers(3, 8)
        disc = ((rows - y) ** 2 + (columns - x) ** 2 < radius**2) & foreground
        picture = 100 * disc[..., None] + rng.integers(0, 120, (32, 32, 3))
        Image.fromarray(picture.astype(np.uint8)).save(root / f'images/{number:02}.png')
        Image.fromarray(np.uint8(255 * disc)).save(root / f'masks/{number:02}.png')


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """A data set, one without foreground, and an untrained FCN of mmseg with two checkpoints."""
    root = tmp_path_factory.mktemp('trust')
    write_pictures(root / 'data')
    write_pictures(root / 'empty', foreground=False)
    config = root / 'fcn.py'
    base = str(REPO / 'configs/ddp/ddp_r18_shapes.py')
    config.write_text(CONFIG.format(base=base, data=str(root / 'data')))
    for seed, name in enumerate(('one', 'two')):
        torch.manual_seed(seed)
        model = build_model(Config.fromfile(config))
        torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'{name}.pth')
    return root


def test_one_report_about_two_models(world, call_tool, capsys, tmp_path):
    one, two = (str(world / name) for name in ('one.pth', 'two.pth'))
    out_dir = tmp_path / 'r'
    options = ['--temperature', 0.3, '--corrupt', 'blur', '--resamples', 20, '--out-dir', out_dir]
    call_tool(REPORT, world / 'fcn.py', one, '--against', world / 'fcn.py', two, *options)
    names = [f'fcn ({path})' for path in (one, two)]
    record = json.loads((out_dir / 'report.json').read_text())
    assert list(record['models']) == names and record['baseline'] == names[1]
    assert list(record['differences']) == names[:1] and record['images'] == 21
    assert all(model['temperature'] != 1 for model in record['models'].values())
    assert [len(rows) for rows in record['corruptions']['blur'].values()] == [6, 6]
    # without any blur it is the report itself
    clean = record['corruptions']['blur'][names[0]][0]
    assert clean['ECE'] == record['models'][names[0]]['measures']['ECE']['value']
    page = (out_dir / 'report.html').read_text()
    assert 'least sure of' in page and 'When pictures get worse' in page
    printed = capsys.readouterr().out
    assert 'image_AUROC/own' in printed and 'can be told' in printed


def test_a_guarantee_from_calibration_to_prediction(world, call_tool, capsys, tmp_path):
    config, checkpoint = world / 'fcn.py', tmp_path / 'model.pth'
    checkpoint.write_bytes((world / 'one.pth').read_bytes())
    task = [CONFORMAL, 'calibrate', config, checkpoint, '--risk', 'iou', '--alpha', 0.2]
    call_tool(*task, '--share', 0.5, '--into', checkpoint)
    assert 'at most 0.2 (threshold' in capsys.readouterr().out

    model = mmdiffseg.load(config=config, checkpoint=checkpoint, device='cpu')
    result = model(world / 'data/images/00.png')
    value = model.meta['guarantee']['value']
    assert np.array_equal(result.inner, result.probability[1].astype(float) > value)
    assert (result.inner <= result.outer).all() and model.meta['guarantee']['images'] == 15

    # the report tests it on the other half
    call_tool(REPORT, config, checkpoint, '--resamples', 20, '--out-dir', tmp_path / 'r')
    record = json.loads((tmp_path / 'r/report.json').read_text())
    (found,) = record['models'].values()
    assert 0 <= found['measures']['promise/risk']['value'] <= 0.35
    assert 'Is the guarantee kept?' in (tmp_path / 'r/report.html').read_text()

    with pytest.raises(FileExistsError, match='has a guarantee already'):
        call_tool(*task, '--into', checkpoint)
    stolen = torch.load(world / 'two.pth', weights_only=True)
    stolen['meta']['guarantee'] = model.meta['guarantee']
    torch.save(stolen, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=f'for model {model.meta["guarantee"]["model"]} and this'):
        call_tool(REPORT, config, tmp_path / 'other.pth', '--out-dir', tmp_path / 's')


def test_a_shared_model_keeps_its_guarantee(world, call_tool, tmp_path):
    model = mmdiffseg.load(config=world / 'fcn.py', checkpoint=world / 'one.pth', device='cpu')
    model.save_pretrained(tmp_path / 'shared', half=True)
    task = [CONFORMAL, 'calibrate', world / 'fcn.py', world / 'one.pth', '--alpha', 0.2]
    call_tool(*task, '--into', tmp_path / 'shared')
    shared = mmdiffseg.load(tmp_path / 'shared', device='cpu')
    result = shared(world / 'data/images/00.png')
    assert result.inner is None and result.outer.any()
    assert not list((tmp_path / 'shared').glob('*.part'))


def test_splits_and_pages(world, call_tool, capsys, tmp_path):
    model = world / 'fcn.py', world / 'one.pth'
    call_tool(CONFORMAL, 'check', *model, '--alpha', 0.2, '--out', tmp_path / 'check.json')
    (row,) = json.loads((tmp_path / 'check.json').read_text())
    assert row['calibration_images'] == 15 and row['splits'] == 100
    assert 0.1 < row['mean_risk'] <= 0.2
    call_tool(CONFORMAL, 'check', *model, '--alpha', 0.2, '--corrupt', 'brightness', 5)
    assert 'the others with brightness 5' in capsys.readouterr().out
    pages = tmp_path / 'pages'
    call_tool(CONFORMAL, 'show', *model, '--share', 0.7, '--pages', 2, '--out-dir', pages)
    assert len(list(pages.glob('*.png'))) == 2


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['calibrate', '--alpha', 1], 'alpha=1 must lie between 0 and 1'),
        (['calibrate', '--alpha', 0.01], '30 calibration images are too few.* 99 are the fewest'),
        (['calibrate', '--share', 0], r'--share 0 must lie in \(0, 1\]'),
        (['calibrate', '--data-root', 'empty'], 'none of the 30 images .* has foreground'),
        (['calibrate', '--into', 'none.pth'], 'there is no none.pth'),
        (['calibrate', '--from-samples'], 'fitted on samples and the model drew none'),
        (['calibrate', '--kind', 'set', '--risk', 'iou'], "can promise risk='missed' only"),
        (['check', '--corrupt', 'fog', 1], '--corrupt fog 1: give one of'),
        (['check', '--share', 1], 'a share of 1 of 30 images leaves none to test on'),
        (['check', '--alpha', 0.05], '15 calibration images are too few.* 19 are the fewest'),
    ],
)
def test_promises_that_cannot_be_made(world, call_tool, monkeypatch, arguments, sentence):
    task, *options = arguments
    options = [world / 'empty' if option == 'empty' else option for option in options]
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        call_tool(CONFORMAL, task, world / 'fcn.py', world / 'one.pth', *options)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--temperature', 0.01], '--temperature 0.01 of 30 images leaves none to fit'),
        (['--split', 'val', '--data-root', 'nowhere'], "data_root 'nowhere' .* is not a folder"),
    ],
)
def test_reports_that_cannot_be_made(world, call_tool, options, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        call_tool(REPORT, world / 'fcn.py', world / 'one.pth', *options)


def test_the_command_makes_the_same_report(world, capsys, tmp_path):
    arguments = ['report', world / 'fcn.py', world / 'one.pth', '--images', 4, '--resamples', 5]
    args = cli.parse_args([str(argument) for argument in [*arguments, '--out-dir', tmp_path / 'r']])
    record = args.run(args)
    assert record == json.loads((tmp_path / 'r/report.json').read_text())
    assert record['images'] == 4 and (tmp_path / 'r/report.html').exists()


def test_images_without_labels_are_named(world, call_tool, tmp_path):
    config = tmp_path / 'bare.py'
    config.write_text(
        f'_base_ = {str(world / "fcn.py")!r}\n'
        'pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]\n'
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    with pytest.raises(ValueError, match=r'00.png has no labels'):
        call_tool(REPORT, config, world / 'one.pth')
