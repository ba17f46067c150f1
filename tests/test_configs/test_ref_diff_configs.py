"""The experiments of Ref-Diff: every split in every variant."""

from pathlib import Path

import pytest
from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'configs/ref_diff'
SPLITS = {
    'refcoco-val': ('refcoco/refs(unc).p', 'val'),
    'refcoco-testA': ('refcoco/refs(unc).p', 'testA'),
    'refcoco-testB': ('refcoco/refs(unc).p', 'testB'),
    'refcoco+-val': ('refcoco+/refs(unc).p', 'val'),
    'refcoco+-testA': ('refcoco+/refs(unc).p', 'testA'),
    'refcoco+-testB': ('refcoco+/refs(unc).p', 'testB'),
    'refcocog-umd-val': ('refcocog/refs(umd).p', 'val'),
    'refcocog-umd-test': ('refcocog/refs(umd).p', 'test'),
    'refcocog-google-val': ('refcocog/refs(google).p', 'val'),
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
@pytest.mark.parametrize('split', SPLITS)
def test_every_split_in_every_variant(split, variant):
    cfg = Config.fromfile(FOLDER / f'ref-diff_{split}{variant}.py')
    dataset, model = cfg.test_dataloader.dataset, cfg.model
    assert (dataset.split_file, dataset.split) == SPLITS[split]
    parts = (
        model.proposer.type == 'mmdiffseg.SAMProposer',
        model.generator is not None,
        model.discriminator is not None,
    )
    assert parts == PARTS[variant]
    # what is not there has no weight
    assert (model.fusion.gen > 0) == parts[1] and (model.fusion.hard > 0) == parts[2]
    if variant not in ('_paper', '_g'):
        least = 0 if split.startswith('refcocog') else 10000
        assert model.proposal_filter == dict(
            type='mmdiffseg.AreaProposalFilter', topk=10, min_pixels=least
        )
    released = variant == '_released'
    assert dataset.get('sample_by', 'sentence') == ('ref' if released else 'sentence')
    assert cfg.test_evaluator.get('released_weighted_iou', False) == released


@pytest.mark.parametrize('variant', ['', '_paper', '_g', '_gs', '_ds'])
def test_phrasecut(variant):
    cfg = Config.fromfile(FOLDER / f'ref-diff_phrasecut-val{variant}.py')
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == 'mmdiffseg.PhraseCutDataset' and 'split' not in dataset
    assert dataset.pipeline[1].type == 'mmdiffseg.LoadPolygonUnion'


def test_nothing_is_trained():
    for path in FOLDER.glob('*.py'):
        assert 'train_cfg' not in Config.fromfile(path), path
