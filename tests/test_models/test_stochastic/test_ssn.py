from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.stochastic.ssn import LowRankNormal, SSNHead, ssn_loss

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ssn.pt', weights_only=True)


@pytest.mark.parametrize('name', RECORDED)
def test_draws_and_loss_of_the_released_code(name):
    record = RECORDED[name]
    maps = [record[key].clone().requires_grad_() for key in ('mean', 'log_cov_diag', 'cov_factor')]
    normal = LowRankNormal.of_maps(*maps)
    deviations = normal.deviations(
        record['eps_factor'].transpose(0, 1),
        record['eps_diag'].transpose(0, 1).unflatten(2, normal.mean.shape[1:]),
    )
    logits = normal.mean[:, None] + torch.cat([deviations, -deviations], dim=1)
    torch.testing.assert_close(
        logits.transpose(0, 1), record['logit_samples'], atol=1e-5, rtol=1e-5
    )
    loss = ssn_loss(logits, record['target'], ignore_index=255)
    torch.testing.assert_close(loss.double(), record['loss'], atol=1e-4, rtol=1e-6)
    loss.backward()
    for parameter, key in zip(maps, ('mean', 'log_cov_diag', 'cov_factor'), strict=True):
        torch.testing.assert_close(parameter.grad, record[f'grad_{key}'], atol=1e-5, rtol=1e-4)


def test_covariance_of_the_draws():
    torch.manual_seed(0)
    k, rank, m = 2, 3, 100_000
    normal = LowRankNormal.of_maps(
        torch.randn(1, k, 1, 2), torch.randn(1, k, 1, 2), torch.randn(1, rank * k, 1, 2)
    )
    found = normal.deviations(torch.randn(1, m, rank), torch.randn(1, m, k, 1, 2))[0].flatten(1)
    p = normal.factor[0].flatten(1)  # (R, K h w)
    expected = p.mT @ p + normal.variance.flatten().diag()
    torch.testing.assert_close(found.mT.cov(), expected, atol=0.05, rtol=0.02)


def test_ignored_pixels_do_not_count():
    logits = torch.randn(2, 4, 3, 5, 5)
    labels = torch.randint(3, (2, 5, 5))
    labels[:, 2] = 255
    loss = ssn_loss(logits, labels, ignore_index=255)
    logits[..., 2, :] += torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(ssn_loss(logits, labels, ignore_index=255), loss)
    assert ssn_loss(logits, torch.full_like(labels, 255), ignore_index=255) == 0


def test_training_draws_from_its_argument_alone(build_head, truth):
    head = build_head('SSNHead', rank=2, train_draws=4)
    images, samples = torch.randn(2, 3, 8, 8), truth(torch.randint(4, (2, 8, 8)))
    given = dict(factor=torch.randn(2, 2, 2), diagonal=torch.randn(2, 2, 4, 8, 8))

    def loss(**options):
        return head.loss([images], samples, {}, draws=Draws(given | options))['loss_nll']

    assert torch.equal(loss(), loss())
    # antithetic: the mirror image of a draw is drawn anyway
    torch.testing.assert_close(loss(**{k: -v for k, v in given.items()}), loss())
    assert not torch.allclose(loss(factor=given['factor'] + 1), loss())


def test_the_mean_loss_divides_by_the_pixels(build_head, truth):
    images, samples = torch.randn(2, 3, 8, 8), truth(torch.randint(4, (2, 8, 8)))
    by_reduction = {
        reduction: build_head('SSNHead', loss_reduction=reduction).loss(
            [images], samples, {}, draws=Draws(generator=torch.Generator().manual_seed(0))
        )['loss_nll']
        for reduction in ('sum', 'mean')
    }
    torch.testing.assert_close(by_reduction['sum'], 64 * by_reduction['mean'])


def test_a_fresh_head_has_a_factor():
    head = SSNHead(in_channels=3, num_classes=2)
    head.init_weights()
    assert head.denoiser.out[2].weight.flatten(1).std(dim=1).min() > 0.01


def test_options_that_do_not_fit_are_refused(build_head):
    for options, message in (
        (dict(train_draws=5), 'even number above 0, got 5'),
        (dict(rank=-1), 'rank must be at least 0, got -1'),
        (dict(loss_reduction='max'), "'sum' or 'mean', got 'max'"),
    ):
        with pytest.raises(ValueError, match=message):
            build_head('SSNHead', **options)
