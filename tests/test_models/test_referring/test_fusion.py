from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.models.referring.fusion import RefScoreFusion, region_contrast
from mmdiffseg.models.referring.proposal_filter import AreaProposalFilter

RECORDED = Path(__file__).parents[2] / 'data/ref_diff_matching.npz'


@pytest.mark.parametrize('case', range(6))
def test_recorded_matching(case):
    recorded = {
        name.removesuffix(f'_{case}'): value
        for name, value in np.load(RECORDED).items()
        if name.endswith(f'_{case}')
    }
    heat = torch.from_numpy(recorded['heat'])
    bits = np.unpackbits(recorded['masks'])
    masks = torch.from_numpy(bits.reshape(-1, *heat.shape)).bool()
    sentence, root = (torch.from_numpy(recorded[f'{t}_feat'])[0] for t in ('text', 'core'))
    fusion = RefScoreFusion()
    scores = {
        view: fusion.similarity(view, torch.from_numpy(recorded[view]), sentence, root)
        for view in ('hard', 'soft')
    }
    scores['gen'] = fusion.generative(heat, masks)
    for name, theirs in (('hard', 'hard'), ('soft', 'soft'), ('gen', 'diff')):
        np.testing.assert_allclose(scores[name], recorded[f'score_{theirs}'], atol=1e-6)
    total = fusion(scores)
    np.testing.assert_allclose(total, recorded['score'], atol=1e-6)

    topk, pixels = recorded['settings'].tolist()
    keep = AreaProposalFilter(topk=topk, min_pixels=pixels)(masks)
    np.testing.assert_array_equal(keep, recorded['keep'])
    assert torch.where(keep, total, 0).argmax() == recorded['index']


def test_area_aware_contrast_is_the_correlation_up_to_a_factor():
    heat = torch.rand(9, 11, generator=torch.Generator().manual_seed(0)).double()
    masks = heat >= torch.tensor([0.2, 0.5, 0.9])[:, None, None]
    score = region_contrast(heat, masks, area_aware=True).double()
    expected = [np.corrcoef(heat.flatten(), mask.flatten())[0, 1] for mask in masks]
    ratio = score / torch.tensor(expected)
    torch.testing.assert_close(ratio, ratio[:1].expand(3), rtol=1e-5, atol=0)


def test_contrast_prefers_a_peak_and_the_area_aware_one_the_object():
    heat = torch.zeros(20, 20)
    heat[5:15, 5:15] = 0.6
    heat[9, 9] = 1
    masks = heat >= torch.tensor([0.5, 0.9])[:, None, None]
    assert region_contrast(heat, masks).argmax() == 1
    assert region_contrast(heat, masks, area_aware=True).argmax() == 0


def test_a_mask_of_everything_has_a_finite_score():
    assert region_contrast(torch.rand(4, 4), torch.ones(1, 4, 4).bool()).isfinite().all()


def test_memory_does_not_grow_with_the_number_of_masks():
    """A picture of 12000x9000 and 19 masks once asked for 16 GB in one tensor."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.dtype != torch.bool:
                self.elements = max(self.elements, result.numel())
            return result

    heat, masks = torch.rand(30, 40), torch.rand(19, 30, 40) > 0.5
    with Largest() as largest:
        region_contrast(heat, masks)
    assert largest.elements == 30 * 40
