from pathlib import Path

import pytest
import torch

from mmdiffseg.models.ddp import MultiLabelFocalLoss

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ddp_bev_scores.pt')


@pytest.mark.parametrize(
    'name, options', [('focal', {}), ('focal_a25', dict(alpha=0.25)), ('xent', dict(gamma=0))]
)
def test_equals_the_recorded_one(name, options):
    logits, target = RECORDED['logits'], RECORDED['target']  # of one class
    loss = MultiLabelFocalLoss(**options)(logits[:, None], target[:, None])
    assert loss.item() == RECORDED[name].item()


def test_classes_are_summed_and_cells_averaged():
    torch.manual_seed(0)
    logits, masks = torch.randn(2, 3, 4, 5), torch.randint(2, (2, 3, 4, 5))
    loss = MultiLabelFocalLoss(gamma=1.5, loss_weight=0.5)
    single = sum(loss(logits[:, k : k + 1], masks[:, k : k + 1]) for k in range(3))
    torch.testing.assert_close(loss(logits, masks), single)
    p = logits.sigmoid().where(masks == 1, 1 - logits.sigmoid())
    by_hand = (-p.log() * (1 - p) ** 1.5).mean((0, 2, 3)).sum() / 2
    torch.testing.assert_close(single, by_hand)


@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.0])
def test_certain_cells_cost_and_pull_finitely(gamma):
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0]).view(1, 1, 2, 2).requires_grad_()
    masks = torch.tensor([1, 0, 0, 1]).view(1, 1, 2, 2)
    loss = MultiLabelFocalLoss(gamma=gamma)(logits.half(), masks)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(100)
    loss.backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    'options', [dict(gamma=-1), dict(gamma=0.5), dict(alpha=2), dict(alpha=-0.5)]
)
def test_options_are_checked(options):
    with pytest.raises(
        ValueError, match=rf'{list(options)[0]} must .* got {list(options.values())[0]}'
    ):
        MultiLabelFocalLoss(**options)
