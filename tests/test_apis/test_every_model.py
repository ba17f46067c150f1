"""One call for every kind of model: the same forms in, the same fields out, saved and loaded."""

import json

import numpy as np
import pytest

from mmdiffseg.apis.load import load
from mmdiffseg.apis.result import main_files

SIZE = (96, 96)  # what the map from above takes
#: config, classes, and which of steps and generations it has
MODELS = {
    'ddp': ('ddp/ddp_r18_shapes', 7, {'steps', 'generations'}),
    'depth': ('ddp/ddp_r18_shapes-depth', 0, {'steps', 'generations'}),
    'map': ('ddp/ddp_r18_shapes-map', 6, {'steps', 'generations'}),
    'segdiff': ('segdiff/segdiff_tiny_dsb2018', 2, {'steps', 'generations'}),
    'segdiff-classes': ('segdiff/segdiff_small_shapes-classes', 7, {'steps', 'generations'}),
    'flow': ('stochastic/flow_ambiguous-shapes', 7, {'steps', 'generations'}),
    'categorical': ('stochastic/categorical_ambiguous-shapes', 7, {'steps', 'generations'}),
    'ssn': ('stochastic/ssn_ambiguous-shapes', 7, {'generations'}),
    'dformer': ('dformer/dformer_r18_shapes-panoptic', 7, {'steps', 'generations'}),
    'mask2former': ('dformer/mask2former_r18_shapes-panoptic', 7, set()),
    'fcn': ('dformer/fcn_r18_shapes-backbone', 7, set()),
    'ref-diff': ('_base_/models/ref_diff_tiny', 2, set()),
    'ref-ldm-seg-1': ('_base_/models/ref_ldm_seg_tiny-1', 2, set()),
    'ref-ldm-seg-n': ('_base_/models/ref_ldm_seg_tiny-n', 2, {'steps'}),
}


@pytest.fixture
def photograph():
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))


def question_of(name, photograph):
    if name == 'ref-diff':
        return dict(text='the red circle')
    if name.startswith('ref-ldm-seg'):
        return dict(examples=[(photograph, np.eye(96, dtype=bool))])
    return {}


def check(name, result, classes):
    assert result.image.shape == (*SIZE, 3)
    if result.depth is not None:
        assert result.depth.shape == SIZE and result.depth.dtype == np.float32
        assert result.depth.min() > 0 and result.labels is None
        return
    assert len(result.classes) == len(result.palette) == classes
    height, width = result.labels.shape
    assert result.labels.dtype == np.uint8
    assert set(np.unique(result.labels)) <= {*range(classes), 255}
    for field in ('samples', 'probability', 'uncertainty'):
        value = getattr(result, field)
        if value is not None:
            assert value.shape[-2:] == (height, width) and value.min() >= 0
            assert value.max() <= (classes - 1 if field == 'samples' else 1 + 1e-5)
    if result.probability is not None and name != 'map':
        np.testing.assert_allclose(result.probability.sum(axis=0), 1, atol=1e-4)
    for segment in result.segments or ():
        assert segment.mask.shape == SIZE and segment.mask.dtype == bool


@pytest.fixture(params=MODELS)
def name(request):
    if request.param.startswith('ref-'):
        pytest.importorskip('diffusers')
    return request.param


def test_every_model_takes_the_one_call(name, load_untrained, photograph, tmp_path):
    config, classes, has = MODELS[name]
    model, question = load_untrained(config), question_of(name, photograph)
    settings = dict.fromkeys(has, 2)
    assert set(model.settings) - {'seed'} == has
    result, _ = model([photograph, photograph], **settings, **question, batch_size=2)
    check(name, result, classes)
    for key in {'steps', 'generations'} - has:
        with pytest.raises(ValueError, match=f'has no {key} to set: leave {key} out'):
            model(photograph, **{key: 2}, **question)

    result.save(tmp_path)
    assert any(file.exists() for file in main_files(tmp_path, '0').values())
    if result.labels is not None:
        assert json.loads((tmp_path / 'masks/0.json').read_text())['image'] == '0'

    folder = model.save_pretrained(tmp_path / 'model')
    again = load(folder, device='cpu')(photograph, **settings, **question)
    for field in ('labels', 'samples', 'depth'):
        expected = getattr(result, field)
        if expected is not None:
            # rounding, which differs by the batch, may decide a pixel
            assert np.isclose(getattr(again, field), expected, atol=1e-4).mean() > 0.999
