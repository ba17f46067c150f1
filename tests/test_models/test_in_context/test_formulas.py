from pathlib import Path

import torch

from mmdiffseg.models.in_context.concepts import concept_logits
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
