import pytest
from mmengine.config import Config

from mmdiffseg.compat.stored_config import check_stored_config, read_config


def test_what_mmengine_writes_is_read():
    config = dict(
        model=dict(type='mmdiffseg.DDPHead', scale=-0.01, size=(4, 4), deep=[{'a b': 1}]),
        norm=None,
        load_from="/home/o'neill",
    )
    assert read_config(Config(config).pretty_text) == config


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'a = open("x")',
        'a = dict(b=print())',
        'a = dict([(1, 2)])',
        'a = dict(**b)',
        'a = {**b}',
        'a = [x for x in (1, 2)]',
        'a.b = 1',
        'a = b = 1',
        'print(1)',
        'a = f"{print(1)}"',
        'a = (b := 1)',
        'a = (1).__class__',
    ],
)
def test_anything_but_plain_values_is_refused(text):
    with pytest.raises(ValueError, match=r'line 2 of the config is more than a plain value'):
        read_config(f'x = 1\n{text}')


@pytest.mark.parametrize('text', ['a = (', '\0', '(' * 5000])
def test_what_is_no_python_is_said(text):
    with pytest.raises(ValueError, match='the config is not Python'):
        read_config(text)


@pytest.mark.parametrize(
    'config',
    [
        dict(model=dict(type='os.system', command='ls')),
        dict(model=dict(neck=[dict(type='mmengine.load')])),
        dict(model=dict(type='mmengine.Config.fromfile')),
        dict(model=dict(type='EncoderDecoder', _scope_='os')),
        dict(default_scope='somewhere'),
        dict(custom_imports=dict(imports=['somewhere'])),
        dict(custom_imports=dict(imports='somewhere')),
        dict(custom_imports=['somewhere']),
        dict(_base_='/tmp/other.py'),
    ],
)
def test_a_config_of_unknown_origin_names_no_code(config):
    with pytest.raises(ValueError, match='the config (gives|imports|is built)'):
        check_stored_config(Config(config).pretty_text)


def test_our_own_configs_pass():
    check_stored_config(
        Config(
            dict(
                default_scope='mmseg',
                custom_imports=dict(imports=['mmdiffseg', 'mmdiffseg.datasets.coco_panoptic']),
                model=dict(type='mmdet.Mask2Former', head=dict(type='mmdiffseg.DFormerHead')),
                log=dict(type='TextLogger', level='INFO'),
            )
        ).pretty_text
    )
