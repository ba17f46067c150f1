import pytest
import torch
from torch import nn

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.stochastic.direct import drawn_dropout

IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
METAS = [dict(img_path=f'{name}.png') for name in 'abc']
HEADS = ['PixelwiseHead', 'MCDropoutHead', 'SSNHead']


def sample(head, images=(0, 1, 2), draws=None):
    """Class probabilities (G, B, K, H, W) of the samples, as the host reads them."""
    images = list(images)
    parts = head.batches([IMAGES[images]], [METAS[i] for i in images], draws)
    with torch.no_grad():
        return torch.cat([head.generate(head.chains(*p), len(p[1])) for p in parts], dim=1)


@pytest.mark.parametrize('kind', HEADS)
def test_samples_belong_to_their_image_and_number(build_head, kind):
    head = build_head(kind)
    together = sample(head)
    assert together.shape == (5, 3, 4, 8, 8)
    torch.testing.assert_close(together.sum(dim=2), torch.ones(5, 3, 8, 8))
    assert not torch.allclose(together[0], together[1], atol=1e-3)
    for bound in (1, 2, 4):
        head.max_batch = bound
        torch.testing.assert_close(sample(head), together, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sample(head, [2, 0]), together[:, [2, 0]], atol=1e-5, rtol=1e-4)
    head.seed = 1
    assert not torch.allclose(sample(head), together, atol=1e-3)


@pytest.mark.parametrize('kind', HEADS)
def test_training_reaches_the_whole_network(build_head, truth, kind):
    head = build_head(kind).train()
    labels = torch.randint(4, (3, 8, 8))
    labels[0] = 255
    losses = head.loss([IMAGES], truth(labels), {})
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert all(p.grad.any() for name, p in head.named_parameters() if 'qkv.bias' not in name)


def test_pixels_are_drawn_from_the_softmax(build_head):
    head = build_head('PixelwiseHead', generations=4000)
    frequencies = sample(head, [0]).mean(dim=0)
    with torch.no_grad():
        probs = head.prepare(IMAGES[:1], METAS[:1]).softmax(dim=1)
    error = 4 * (probs * (1 - probs) / 4000).sqrt() + 1e-3
    assert ((frequencies - probs).abs() < error).float().mean() > 0.99


def test_a_common_number_draws_maps_within_each_other(build_head):
    head = build_head('PixelwiseHead', num_classes=2, generations=50, coupling='common')
    torch.nn.init.normal_(head.denoiser.out[2].weight)
    masks = sample(head, [0])[:, 0, 1]  # (G, H, W)
    masks = masks[masks.sum(dim=(1, 2)).argsort()]
    assert (masks[1:] >= masks[:-1]).all() and 0 < masks[25].mean() < 1
    with pytest.raises(ValueError, match='coupling must be one of'):
        build_head('PixelwiseHead', coupling='joint')


def test_without_a_coupling_nothing_is_drawn(build_head):
    head = build_head('PixelwiseHead', generations=1, coupling=None)
    probs = sample(head)
    with torch.no_grad():
        expected = head.prepare(IMAGES, METAS).softmax(dim=1)
    torch.testing.assert_close(probs[0], expected)
    head.seed = 1
    assert torch.equal(sample(head), probs)


def test_dropout_is_drawn_by_name_and_leaves_no_trace():
    network = nn.Sequential(nn.Dropout(0.25), nn.Identity(), nn.Dropout(0.0)).eval()
    x = torch.ones(20000, 2)
    with drawn_dropout(network, Draws({'0': torch.linspace(0, 1, 40000).view(20000, 2)})):
        dropped = network(x)
    assert not dropped[:5000].any() and (dropped[5001:] == 1 / 0.75).all()
    assert torch.equal(network(x), x)


def test_no_dropout_is_refused(build_head):
    with pytest.raises(ValueError, match='dropout must lie between 0 and 1, got 0'):
        build_head('MCDropoutHead', dropout=0)


def test_labels_that_do_not_fit_are_refused(build_head, truth):
    head = build_head('PixelwiseHead')
    with pytest.raises(ValueError, match=r'must lie in \[0, 4\) .* got \[4\]'):
        head.loss([IMAGES], truth(torch.full((3, 8, 8), 4)), {})
    with pytest.raises(ValueError, match=r'labels of \(4, 4\) pixels meet a feature of \(8, 8\)'):
        head.loss([IMAGES], truth(torch.zeros(3, 4, 4, dtype=torch.long)), {})
