"""Models by name, through mmengine's hub."""

from pathlib import Path

import pytest
from mmengine.hub import get_model
from mmengine.registry import DefaultScope

import mmdiffseg
from mmdiffseg.utils import register_all_modules

MIM = Path(mmdiffseg.__file__).parent / '.mim'


@pytest.mark.skipif(not MIM.exists(), reason='needs an installation, which brings the configs')
@pytest.mark.parametrize(
    ('name', 'host', 'head'),
    [
        ('ddp/ddp_r18_shapes.py', 'mmseg', 'decode_head'),
        ('dformer/dformer_r18_shapes-panoptic.py', 'mmdet', 'panoptic_head'),
    ],
)
def test_a_model_of_the_hub_is_built_in_its_host(name, host, head):
    DefaultScope._instance_dict.clear()  # as in a fresh process
    model = get_model(f'mmdiffseg::{name}')
    assert type(model).__module__.startswith(host)
    assert type(getattr(model, head)).__module__.startswith('mmdiffseg')
    assert DefaultScope.get_current_instance() is None


def test_the_default_scope_is_left_alone_on_request():
    with DefaultScope.overwrite_default_scope('mmdet'):
        register_all_modules(init_default_scope=False)
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
        register_all_modules()
        assert DefaultScope.get_current_instance().scope_name == 'mmseg'
