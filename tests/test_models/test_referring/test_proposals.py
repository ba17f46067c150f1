"""Weight-free and precomputed proposals, and the filter."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmdiffseg.models.referring.fusion import region_contrast
from mmdiffseg.models.referring.proposal_filter import AreaProposalFilter
from mmdiffseg.models.referring.proposers import PrecomputedProposer, WeightFreeProposer

DATA = Path(__file__).parents[2] / 'data'


def unpack(bits, shape):
    return torch.from_numpy(np.unpackbits(bits)[: np.prod(shape)].reshape(shape)).bool()


@pytest.mark.parametrize('case', range(2))
def test_recorded_weight_free_masks_and_scores(case):
    recorded = np.load(DATA / 'ref_diff_weight_free.npz')
    heat = torch.from_numpy(recorded[f'heat_{case}'])
    masks = WeightFreeProposer()(heat)
    assert torch.equal(masks, unpack(recorded[f'masks_{case}'], (19, *heat.shape)))
    np.testing.assert_allclose(region_contrast(heat, masks), recorded[f'score_{case}'], atol=1e-6)


@pytest.mark.parametrize('case', range(6))
def test_recorded_filter(case):
    recorded = np.load(DATA / 'ref_diff_filter.npz')
    topk, pixels, ratio = recorded[f'settings_{case}'].tolist()
    keep = AreaProposalFilter(topk=int(topk), min_pixels=pixels, min_ratio=ratio)
    masks = unpack(recorded[f'masks_{case}'], recorded[f'shape_{case}'])
    np.testing.assert_array_equal(keep(masks), recorded[f'keep_{case}'])


def rle(mask):
    run = coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
    return dict(size=list(run['size']), counts=run['counts'].decode())


def test_precomputed(tmp_path, image, masks):
    path = tmp_path / 'masks.json'
    runs = [rle(mask) for mask in masks]
    wrong, empty = rle(torch.ones(5, 6)), rle(torch.zeros(40, 56))
    path.write_text(json.dumps({'a.jpg': runs, 'b.jpg': [wrong], 'c.jpg': [empty], 'd.jpg': []}))
    proposer = PrecomputedProposer(path=str(path))
    assert torch.equal(proposer(image, 'a.jpg'), masks)
    assert proposer(image, 'd.jpg').shape == (0, 40, 56)
    for name, fault in (
        ('b.jpg', r'mask 0 of .*\[5, 6\], but the image has \[40, 56\]'),
        ('c.jpg', 'mask 0 of .* is empty'),
        ('e.jpg', "no masks of 'e.jpg'"),
    ):
        with pytest.raises(ValueError, match=fault):
            proposer(image, name)


@pytest.mark.parametrize(
    ('content', 'fault'), [('{', 'is not a JSON file'), ('[]', 'must hold a JSON object')]
)
def test_file_of_masks_that_is_none(tmp_path, content, fault):
    path = tmp_path / 'masks.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'masks.json {fault}'):
        PrecomputedProposer(path=str(path))
