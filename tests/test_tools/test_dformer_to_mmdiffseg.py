import gzip
import json
import pickle
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmdiffseg.diffusion import CosineBetas

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/dformer_to_mmdiffseg.py'
RELEASED = json.loads(gzip.decompress((ROOT / 'tests/data/dformer_released.json.gz').read_bytes()))
CONVERTER = runpy.run_path(str(SCRIPT))


@pytest.fixture
def run(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
        CONVERTER['main']()

    return run


@pytest.fixture
def refused(run, capsys):
    """The message with which the command line is refused."""

    def refused(*arguments):
        with pytest.raises(SystemExit) as exit:
            run(*arguments)
        assert exit.value.code != 0
        return capsys.readouterr().err

    return refused


def released_weights(name):
    """Names and shapes of a released checkpoint; the values take no space, on disk neither."""
    weights = {k: torch.zeros(()).expand(shape) for k, shape in RELEASED[name].items()}
    weights['alphas_cumprod'] = CosineBetas().alphas_cumprod
    return weights


def build(meta):
    config = Config.fromstring(meta['cfg'], '.py')
    init_default_scope(config.default_scope)
    return MODELS.build(config.model)


def test_released_file(tmp_path, run, capsys):
    weights = released_weights('dformer_r50_coco-panoptic')
    marked = torch.arange(134 * 256.0).view(134, 256)
    weights['sem_seg_head.predictor.class_embed.weight'] = marked
    level = torch.arange(3 * 256.0).view(3, 256)
    weights['sem_seg_head.pixel_decoder.transformer.level_embed'] = level
    torch.save(dict(model=weights, optimizer={}, iteration=491665), tmp_path / 'theirs.pth')
    run(tmp_path / 'theirs.pth', tmp_path / 'new/ours.pth')
    assert 'tensors of dformer_r50_coco-panoptic written' in capsys.readouterr().out

    checkpoint = torch.load(tmp_path / 'new/ours.pth', weights_only=True)
    assert checkpoint.keys() == {'state_dict', 'meta'}
    assert torch.equal(checkpoint['state_dict']['panoptic_head.cls_embed.weight'], marked)
    name = 'panoptic_head.pixel_decoder.level_encoding.weight'
    assert torch.equal(checkpoint['state_dict'][name], level)
    meta = checkpoint['meta']
    assert len(meta['dataset_meta']['classes']) == 133
    assert meta['label_encoder'] == dict(type='mmdiffseg.MaskSetEncoder', scale=0.1)
    build(meta).load_state_dict(checkpoint['state_dict'], strict=True)


def test_pickled_arrays_need_trust(tmp_path, run, refused):
    weights = released_weights('dformer_swin-t_ade20k-semantic')
    name = 'backbone.layers.0.downsample.reduction.weight'
    weights[name] = torch.arange(4 * 96.0).expand(192, -1)  # by (dx, dy, channel)
    arrays = {k: v.contiguous().numpy() for k, v in weights.items()}
    (tmp_path / 'theirs.pkl').write_bytes(pickle.dumps(dict(model=arrays)))
    assert '--trust' in refused(tmp_path / 'theirs.pkl', tmp_path / 'ours.pth')
    run(tmp_path / 'theirs.pkl', tmp_path / 'ours.pth', '--trust')
    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    merging = checkpoint['state_dict']['backbone.stages.0.downsample.reduction.weight']
    # nn.Unfold has the channel outermost, then the row; theirs are numbered dx, dy, channel
    assert merging[5, :5].tolist() == [0, 2 * 96, 96, 3 * 96, 1]
    build(checkpoint['meta']).load_state_dict(checkpoint['state_dict'], strict=True)
    assert len(checkpoint['meta']['dataset_meta']['classes']) == 150


def test_other_classes_need_a_config(tmp_path, run, refused):
    weights = released_weights('dformer_r50_coco-instance')
    for name in ('weight', 'bias'):
        key = f'sem_seg_head.predictor.class_embed.{name}'
        weights[key] = weights[key][:5]
    torch.save(dict(model=weights), tmp_path / 'theirs.pth')
    message = refused(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'no released experiment has 4 classes and a backbone of width [64] with 6' in message
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{ROOT}/configs/dformer/dformer_r50_coco-instance.py'\n"
        'classes = dict(num_things_classes=4)\n'
        'model = dict(panoptic_head=classes, panoptic_fusion_head=classes)\n'
    )
    run(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', '--config', tmp_path / 'own.py')
    weights = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert len(weights['panoptic_head.cls_embed.bias']) == 5


def test_what_does_not_fit_is_refused(tmp_path, refused):
    weights = released_weights('dformer_r50_coco-instance')
    weights['sem_seg_head.predictor.extra.weight'] = torch.zeros(1)
    del weights['sem_seg_head.predictor.level_embed.weight']
    torch.save(dict(model=weights), tmp_path / 'theirs.pth')
    message = refused(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert '1 missing (panoptic_head.level_embed.weight)' in message
    assert '1 unknown (panoptic_head.extra.weight)' in message
    assert not (tmp_path / 'ours.pth').exists()
    weights['alphas_cumprod'] = weights['alphas_cumprod'] * 0.9
    torch.save(dict(model=weights), tmp_path / 'theirs.pth')
    assert 'another noise schedule' in refused(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    torch.save(dict(model={'a': torch.zeros(1)}), tmp_path / 'theirs.pth')
    message = refused(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'not a DFormer checkpoint, it has no sem_seg_head.predictor.class_embed.bias' in message
