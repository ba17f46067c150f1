import warnings

import pytest
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from mmdiffseg import registry

CHILDREN = (
    'MODELS',
    'TASK_UTILS',
    'DATASETS',
    'DATA_SAMPLERS',
    'TRANSFORMS',
    'METRICS',
    'HOOKS',
)
ROOTS = ('NOISE_SCHEDULES', 'SAMPLERS', 'LABEL_ENCODERS')


@pytest.mark.parametrize('name', CHILDREN + ROOTS)
def test_a_first_look_up_imports_the_location(name):
    node = getattr(registry, name)
    assert node.scope == 'mmdiffseg'
    assert node.get('NoSuchThing') is None  # imports the locations, which must exist


@pytest.mark.parametrize(
    ('name', 'known'),
    [
        ('MODELS', 'DDPHead'),
        ('HOOKS', 'SeedEachIterationHook'),
        ('NOISE_SCHEDULES', 'CosineLogSNR'),
        ('SAMPLERS', 'DDIMSampler'),
        ('LABEL_ENCODERS', 'ClassEmbeddingEncoder'),
    ],
)
def test_what_configs_name_is_found(name, known):
    assert getattr(registry, name).get(f'mmdiffseg.{known}').__name__ == known


def test_the_root_reaches_ours_by_prefix():
    assert ROOT_MODELS.get('mmdiffseg.DDPHead').__name__ == 'DDPHead'


@pytest.mark.parametrize('type_', ['CosineLogSNR', 'mmdiffseg.CosineLogSNR'])
def test_roots_of_ours_build_inside_a_host_scope_without_a_warning(type_, capsys):
    with DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        warnings.simplefilter('error')
        schedule = registry.NOISE_SCHEDULES.build({'type': type_})
    assert type(schedule).__name__ == 'CosineLogSNR'
    assert 'Failed to search registry' not in ''.join(capsys.readouterr())
