"""The experiments of Ref-Diff: every data set in every variant, and its splits."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmdiffseg.engine import launch

FOLDER = Path(__file__).parents[2] / 'configs/ref_diff'
SPLITS = {
    ('refcoco', 'val'): ('refcoco/refs(unc).p', 'val'),
    ('refcoco', 'testA'): ('refcoco/refs(unc).p', 'testA'),
    ('refcoco', 'testB'): ('refcoco/refs(unc).p', 'testB'),
    ('refcoco+', 'val'): ('refcoco+/refs(unc).p', 'val'),
    ('refcoco+', 'testA'): ('refcoco+/refs(unc).p', 'testA'),
    ('refcoco+', 'testB'): ('refcoco+/refs(unc).p', 'testB'),
    ('refcocog', 'umd-val'): ('refcocog/refs(umd).p', 'val'),
    ('refcocog', 'umd-test'): ('refcocog/refs(umd).p', 'test'),
    ('refcocog', 'google-val'): ('refcocog/refs(google).p', 'val'),
}
# which parts a variant has: proposals by SAM, generator, discriminator
PARTS = {
    '': (True, True, True),
    '_released': (True, True, True),
    '_paper': (True, True, True),
    '_g': (False, True, False),
    '_gs': (True, True, False),
    '_ds': (True, False, True),
}


@pytest.mark.parametrize('variant', PARTS)
@pytest.mark.parametrize('data', ['refcoco', 'refcoco+', 'refcocog'])
def test_variants(data, variant):
    cfg = Config.fromfile(FOLDER / f'ref-diff_{data}{variant}.py')
    dataset, model = cfg.test_dataloader.dataset, cfg.model
    # without --split: val
    default = SPLITS[data, 'umd-val' if data == 'refcocog' else 'val']
    assert (dataset.split_file, dataset.split) == default
    assert dataset.ann_file == f'{data}/instances.json'
    parts = (
        model.proposer.type == 'mmdiffseg.SAMProposer',
        model.generator is not None,
        model.discriminator is not None,
    )
    assert parts == PARTS[variant]
    # what is not there has no weight
    assert (model.fusion.gen > 0) == parts[1] and (model.fusion.hard > 0) == parts[2]
    if variant not in ('_paper', '_g'):
        least = 0 if data == 'refcocog' else 10000
        assert model.proposal_filter == dict(
            type='mmdiffseg.AreaProposalFilter', topk=10, min_pixels=least
        )
    released = variant == '_released'
    assert dataset.get('sample_by', 'sentence') == ('ref' if released else 'sentence')
    assert cfg.test_evaluator.get('released_weighted_iou', False) == released


@pytest.mark.parametrize(('data', 'split'), SPLITS)
def test_splits(data, split):
    cfg = Config.fromfile(FOLDER / f'ref-diff_{data}_released.py')
    assert list(cfg.splits) == [name for key, name in SPLITS if key == data]
    launch.set_split(cfg, split)
    dataset = cfg.test_dataloader.dataset
    assert (dataset.split_file, dataset.split) == SPLITS[data, split]
    assert dataset.sample_by == 'ref'


@pytest.mark.parametrize('variant', ['', '_paper', '_g', '_gs', '_ds'])
def test_phrasecut(variant):
    cfg = Config.fromfile(FOLDER / f'ref-diff_phrasecut{variant}.py')
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == 'mmdiffseg.PhraseCutDataset' and 'split' not in dataset
    assert dataset.pipeline[1].type == 'mmdiffseg.LoadPolygonUnion'
    assert dataset.ann_file == 'refer_val.json' and list(cfg.splits) == ['val', 'test', 'miniv']
    launch.set_split(cfg, 'test')
    assert cfg.test_dataloader.dataset.ann_file == 'refer_test.json'


def test_generated_data_have_no_splits_of_refcoco():
    for path in FOLDER.glob('ref-diff_tiny_*.py'):
        assert 'splits' not in Config.fromfile(path), path


def test_nothing_is_trained():
    for path in FOLDER.glob('*.py'):
        assert 'train_cfg' not in Config.fromfile(path), path


def test_metafile_names_configs_and_their_splits():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    for model in models:
        path = FOLDER.parents[1] / model['Config']
        assert path.stem == model['Name']
        splits = Config.fromfile(path).splits
        for result in model['Results']:
            assert result['Dataset'].split(maxsplit=1)[1].lower().replace(' ', '-') in [
                split.lower() for split in splits
            ]
