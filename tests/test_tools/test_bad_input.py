"""Wrong input meets one clear sentence, before anything heavy happens."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image


@pytest.fixture(scope='module')
def config(tiny_config):
    return Config.fromfile(tiny_config)


@pytest.fixture
def weights(config):
    init_default_scope('mmseg')
    return MODELS.build(config.model).state_dict()


def save(tmp_path, weights):
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': weights}, path)
    return path


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_missing_data_root(call_tool, tiny_config, tool):
    checkpoint = ['https://host/any.pth'] if tool == 'test.py' else []
    with pytest.raises(FileNotFoundError, match="data_root 'no/where' .* pass --data-root"):
        call_tool(tool, tiny_config, *checkpoint, '--data-root', 'no/where')


def test_no_views_to_average(call_tool, tiny_config, tmp_path):
    config = tmp_path / 'map.py'
    config.write_text(tiny_config.read_text().replace('ddp_r18_shapes.py', 'ddp_r18_shapes-map.py'))
    with pytest.raises(ValueError, match='map.py has no tta_pipeline: leave --tta out'):
        call_tool('test.py', config, 'https://host/any.pth', '--tta')


def test_other_class_count(call_tool, tiny_config, tmp_path, weights):
    for name in ('weight', 'bias'):
        key = f'decode_head.conv_seg.{name}'
        classes = len(weights[key])
        weights[key] = torch.cat([weights[key], weights[key]])
    sentence = rf'conv_seg.weight \({2 * classes}, .*instead of \({classes}, '
    with pytest.raises(ValueError, match=sentence):
        call_tool('test.py', tiny_config, save(tmp_path, weights))


def test_unknown_and_missing_keys(call_tool, tiny_config, tmp_path, weights):
    weights['other.weight'] = weights.pop('decode_head.conv_seg.weight')
    sentence = r'1 missing \(decode_head.conv_seg.weight\); 1 unknown \(other.weight\)'
    with pytest.raises(ValueError, match=sentence):
        call_tool('test.py', tiny_config, save(tmp_path, weights))


def test_no_steps(call_tool, tiny_config):
    with pytest.raises(ValueError, match='at least 1.* 0'):
        call_tool('test.py', tiny_config, 'https://host/any.pth', '--steps', 0)


def test_steps_for_a_head_without_any(call_tool, tiny_config, shapes_root):
    fcn = tiny_config.with_name('fcn.py')
    fcn.write_text(tiny_config.read_text().replace('ddp_r18_shapes', 'fcn_r18_shapes'))
    with pytest.raises(ValueError, match='FCNHead takes no steps'):
        call_tool('test.py', fcn, 'https://host/any.pth', '--steps', 3)


def test_a_film_without_a_folder(call_tool, tiny_config, capsys):
    with pytest.raises(SystemExit):
        call_tool('test.py', tiny_config, 'any.pth', '--film')
    assert '--film needs --show-dir' in capsys.readouterr().err


def test_a_test_batch_of_unequal_sizes(call_tool, tiny_config, tmp_path, weights):
    root = tmp_path / 'data'
    for folder, suffix, mode in (('images', 'jpg', 'RGB'), ('labels', 'png', 'L')):
        (root / folder / 'val').mkdir(parents=True)
        for i, side in enumerate((48, 64)):
            Image.new(mode, (side, side)).save(root / folder / f'val/{i}.{suffix}')
    options = ('--data-root', root, '--cfg-options', 'test_dataloader.batch_size=2')
    with pytest.raises(AssertionError, match='image size in a batch should be the same'):
        call_tool('test.py', tiny_config, save(tmp_path, weights), *options)
