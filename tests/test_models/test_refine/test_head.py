import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws, Start
from mmdiffseg.models.refine import texture_loss
from mmdiffseg.registry import MODELS

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


@torch.no_grad()
def test_training_masks_of_the_networks_own(build_refiner):
    images, truth, coarse, samples = batch()
    head = build_refiner(own_share=0.5).decode_head
    seen = []
    denoise = head.denoise
    head.denoise = lambda z_t, t, context: seen.append(z_t) or denoise(z_t, t, context)
    own = torch.tensor([0.9, 0.1, 0.1]).view(B, 1, 1, 1)
    given = draws().given
    head.loss([images], samples, {}, draws=Draws({**given, 'own': own}))
    asked, shown = seen
    assert torch.equal(asked, coarse.float())
    logits = 2 * denoise(asked, torch.tensor([5]), head.prepare(images, []))[:, 1:]
    share = torch.tensor([0.8, 0.32, 0.0]).view(B, 1, 1, 1)  # bbar at the times 0, 3 and 5
    sure = given['eps'] < share * (2 * logits.sigmoid() - 1).abs()
    assert sure[1].any() and not sure[2].any()
    expected = torch.where(sure, (logits >= 0).float(), coarse.float())
    expected[0] = torch.where(given['eps'][0] < 0.8, truth[0], coarse[0])
    torch.testing.assert_close(shown, expected)


def test_own_share_is_a_probability(build_refiner):
    with pytest.raises(ValueError, match=r'own_share is a probability in \[0, 1\], got 2'):
        build_refiner(own_share=2)


@torch.no_grad()
def test_features_beside_the_image():
    head = MODELS.build(
        dict(
            type='mmdiffseg.MaskRefineHead',
            in_channels=(3, 4, 5),
            denoiser=dict(type='mmdiffseg.FeatureMapUNet', channel_mult=(1, 1)),
        )
    ).eval()
    images, _, coarse, _ = batch()
    maps = [images, torch.randn(B, 4, SIZE // 2, SIZE // 2), torch.randn(B, 5, 4, 4)]
    metas = [dict(sample_id=str(i)) for i in range(B)]
    chains = head.chains(maps, metas, start=Start(map=coarse[:, 0]), steps=1)
    # an untrained network says nothing
    assert (head.summarise(chains, B) == 0.5).all()
    network = head.denoiser
    assert network.lateral[0].in_channels == 4 and network.pixels.in_channels == 4 * 3
