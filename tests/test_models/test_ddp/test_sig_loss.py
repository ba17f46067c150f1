from pathlib import Path

import pytest
import torch

from mmdiffseg.models.ddp import SigLoss

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ddp_depth.pt')
VARIANTS = dict(
    default_w1=dict(),
    w10=dict(loss_weight=10.0),
    max5=dict(max_depth=5.0),
    novalid=dict(valid_mask=False),
    warmup=dict(warm_up=True, warm_iters=2),
)


@pytest.mark.parametrize('name', VARIANTS)
def test_three_calls_equal_the_recorded_ones(name):
    loss = SigLoss(**VARIANTS[name])
    gt = RECORDED['gt'] + 0.01 if name == 'novalid' else RECORDED['gt']
    calls = [loss(RECORDED['pred'], gt).item() for _ in range(3)]
    assert calls == pytest.approx(RECORDED['sigloss'][name], rel=1e-5)


@pytest.mark.filterwarnings('ignore:var\\(\\)')
@pytest.mark.parametrize('pixels', [0, 1, 2, 5])
def test_few_valid_pixels_equal_the_recorded_ones(pixels):
    few = RECORDED['few_valid'][pixels]
    value = SigLoss()(RECORDED['pred'], few['gt']).item()
    assert value == pytest.approx(few['loss'], rel=1e-5, nan_ok=True)


def test_by_hand_and_its_gradient():
    pred = torch.rand(2, 1, 4, 4, requires_grad=True)
    gt = torch.rand(2, 1, 4, 4) * 3
    gt[0, 0, :2] = 0
    g = [
        (p + 1e-3).log() - (t + 1e-3).log()
        for p, t in zip(pred.double().flatten(), gt.double().flatten(), strict=True)
        if t > 0
    ]
    g = torch.stack(g)
    mean = g.sum() / len(g)
    expected = ((g - mean).square().sum() / (len(g) - 1) + 0.15 * mean**2).sqrt()
    loss = SigLoss()(pred, gt)
    torch.testing.assert_close(loss.double(), expected)
    loss.backward()
    assert ((pred.grad != 0) == (gt > 0)).all()


def test_warm_up_goes_on_where_a_checkpoint_ended():
    pred, gt = RECORDED['pred'], RECORDED['gt']
    first, second = (SigLoss(warm_up=True, warm_iters=3) for _ in range(2))
    early = [first(pred, gt) for _ in range(2)][-1]
    second.load_state_dict(first.state_dict())
    assert second(pred, gt) == early
    assert second(pred, gt) != early
    assert not SigLoss().state_dict()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = SigLoss()(RECORDED['pred'].to(dtype), RECORDED['gt'])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(RECORDED['sigloss']['default_w1'][0], rel=1e-2)
