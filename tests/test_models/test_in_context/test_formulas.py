from pathlib import Path

import pytest
import torch

from mmdiffseg.models.in_context.concepts import concept_logits
from mmdiffseg.models.in_context.draws import Draws
from mmdiffseg.models.in_context.guidance import guide

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ref_ldm_seg_masks.pt')


def test_guidance_equals_the_recorded_one():
    recorded = RECORDED['guidance']
    guided = guide(
        recorded['eps_null'], recorded['eps_image'], recorded['eps_full'], query=1.5, prompt=7.0
    )
    torch.testing.assert_close(guided, recorded['out'])


def test_scales_of_one_leave_the_conditional_prediction():
    null, query, full = torch.randn(3, 2, 4, 8, 8)
    torch.testing.assert_close(guide(null, query, full, query=1.0, prompt=1.0), full)


def test_several_concepts_equal_the_recorded_rule():
    recorded = RECORDED['multiclass']
    margins = recorded['pm'][:, 1] - recorded['pm'][:, 0]  # (3, h, w)
    logits = concept_logits(margins[None])[0]
    torch.testing.assert_close(logits.softmax(dim=0), recorded['p_all'])
    assert torch.equal(logits.argmax(dim=0), recorded['pred'].long())


def test_draws_are_given_or_made_in_order():
    generator = torch.Generator().manual_seed(0)
    draws = Draws(dict(a=torch.ones(2, 1)), generator=generator)
    assert draws.normal('a', (2, 1)).tolist() == [[1], [1]]
    normal, t, r = draws.normal('b', (2, 3)), draws.integers('t', 3, 9, 2), draws.uniform('r', 2)
    again = torch.Generator().manual_seed(0)
    assert torch.equal(normal, torch.randn(2, 3, generator=again))
    assert torch.equal(t, torch.randint(3, 9, (2,), generator=again))
    assert torch.equal(r, torch.rand(2, generator=again))


def test_each_row_may_have_its_own_generator():
    def rows(*seeds):
        draws = Draws(generator=[torch.Generator().manual_seed(seed) for seed in seeds])
        return draws.normal('z', (len(seeds), 4)), draws.integers('t', 0, 1000, len(seeds))

    for both, one in zip(rows(1, 2), rows(2), strict=True):
        assert torch.equal(both[1:], one)


@pytest.mark.parametrize('name', ['uniform', 'integers'])
def test_given_times_and_drops(name):
    given = torch.tensor([1, 2])
    arguments = dict(uniform=('x', 2), integers=('x', 0, 9, 2))[name]
    assert torch.equal(getattr(Draws(dict(x=given)), name)(*arguments), given)
