import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws, Start
from mmdiffseg.models.refine import texture_loss

B, SIZE = 3, 16


@pytest.fixture
def head(build_refiner):
    return build_refiner().decode_head


def batch(ignored=False):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(B, 3, SIZE, SIZE, generator=generator)
    truth, coarse = torch.randint(2, (2, B, 1, SIZE, SIZE), generator=generator)
    if ignored:
        truth[:, :, :4] = 255
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=t), coarse_sem_seg=PixelData(data=c))
        for t, c in zip(truth, coarse, strict=True)
    ]
    return images, truth, coarse, samples


def draws():
    uniform = torch.rand(B, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    return Draws({'t': torch.tensor([0, 3, 5]), 'eps': uniform})


@torch.no_grad()
def test_loss_by_hand(head):
    images, truth, coarse, samples = batch()
    losses = head.loss([images], samples, {}, draws=draws())
    given = draws().given
    share = torch.tensor([0.8, 0.32, 0.0]).view(B, 1, 1, 1)
    z_t = torch.where(given['eps'] < share, truth, coarse).float()
    network = head.denoiser
    logits = network(z_t, given['t'], network.prepare(images))
    target, valid = truth.float(), torch.ones_like(truth, dtype=torch.bool)
    mask = F.binary_cross_entropy_with_logits(logits, target)
    edges = 5 * texture_loss(logits.sigmoid(), target, valid)
    torch.testing.assert_close(losses['loss_mask'], mask)
    torch.testing.assert_close(losses['loss_texture'], edges)
    found, true = logits >= 0, truth == 1
    torch.testing.assert_close(losses['iou'], (found & true).sum() / (found | true).sum())


@torch.no_grad()
def test_ignored_pixels_count_in_no_loss(head):
    images, truth, _, samples = batch(ignored=True)
    output = torch.zeros(B, 1, SIZE, SIZE)
    head.denoiser.forward = lambda z, t, context: output
    plain = head.loss([images], samples, {}, draws=draws())
    output = torch.where(truth == 255, 30.0, 0.0)
    changed = head.loss([images], samples, {}, draws=draws())
    for name in ('loss_mask', 'loss_texture', 'iou'):
        torch.testing.assert_close(changed[name], plain[name])


def test_all_parameters_learn(head):
    images, _, _, samples = batch()
    losses = head.loss([images], samples, {}, draws=draws())
    (losses['loss_mask'] + losses['loss_texture']).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_labels_are_checked(head):
    images, _, _, samples = batch()
    samples[0].coarse_sem_seg.data[0, 0, 0] = 255
    with pytest.raises(ValueError, match=r'labels must lie in \[0, 2\), got \[255\]'):
        head.loss([images], samples, {})


@torch.no_grad()
def test_crops_do_not_depend_on_their_company(head):
    images, _, coarse, _ = batch()
    metas = [dict(sample_id=str(i)) for i in range(B)]
    head.set_generations(2, max_batch=None, seed=0)

    def run(rows):
        start = Start(map=coarse[rows, 0])
        chains = head.chains([images[rows]], [metas[i] for i in rows], None, start)
        return head.summarise(chains, len(rows))

    together = run([0, 1, 2])
    for i in range(B):
        torch.testing.assert_close(run([i])[0], together[i], atol=1e-5, rtol=0)
    torch.testing.assert_close(together.sum(dim=1), torch.ones(B, SIZE, SIZE))
    head.set_generations(2, max_batch=1, seed=0)
    torch.testing.assert_close(run([0, 1, 2]), together, atol=1e-5, rtol=0)
