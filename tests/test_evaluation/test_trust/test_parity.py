"""Our streamed measures against torchmetrics and torch-uncertainty, which keep all pixels."""

import numpy as np
import pytest
import torch

from mmdiffseg.evaluation.trust import (
    aurc,
    auroc,
    ause,
    group_things,
    pixel_measures,
    sum_pixels,
)

PIXELS = 3000  # a multiple of 15 bins


@pytest.fixture(scope='module')
def pixels(make_pixels):
    """Class probabilities (N, K) in float64 whose confidences lie in fine bins of their own."""
    log_probs, labels = make_pixels(PIXELS)
    return log_probs, labels, log_probs.T.double().exp()


@pytest.fixture(scope='module')
def ours(pixels):
    log_probs, labels, _ = pixels
    return pixel_measures(sum_pixels(log_probs, log_probs.argmax(0), labels, {}))


def test_calibration_errors_of_torchmetrics(pixels, ours):
    functional = pytest.importorskip('torchmetrics.functional.classification')
    _, labels, probs = pixels
    theirs = functional.multiclass_calibration_error(probs, labels, num_classes=4, n_bins=15)
    assert ours['ECE'] == pytest.approx(theirs.item(), abs=1e-6)


def test_auroc_of_torchmetrics():
    functional = pytest.importorskip('torchmetrics.functional.classification')
    rng = np.random.default_rng(0)
    score, wrong = rng.integers(0, 30, 500) / 30, rng.integers(0, 2, 500)
    counts, errors = group_things(score, wrong)
    theirs = functional.binary_auroc(torch.from_numpy(score), torch.from_numpy(wrong))
    assert auroc(counts - errors, errors) == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize(
    ('name', 'measure', 'options'),
    [
        ('ECE', 'CalibrationError', dict(task='multiclass', num_classes=4, num_bins=15)),
        ('ECE_classes', 'ClasswiseCalibrationError', dict(num_classes=4, num_bins=15)),
        ('Brier', 'BrierScore', dict(num_classes=4)),
        ('NLL', 'CategoricalNLL', {}),
    ],
)
def test_measures_of_torch_uncertainty(pixels, ours, name, measure, options):
    module = pytest.importorskip('torch_uncertainty.metrics.classification')
    _, labels, probs = pixels
    metric = getattr(module, measure)(**options)
    metric.update(probs, labels)
    assert ours[name] == pytest.approx(metric.compute().item(), abs=1e-6)


def test_adaptive_error_of_torch_uncertainty():
    module = pytest.importorskip('torch_uncertainty.metrics.classification')
    # at most one pixel in a fine bin, so that ours divides none
    generator = torch.Generator().manual_seed(0)
    confidence = (torch.randperm(700, generator=generator)[:300] + 750.5) / 1500
    probs = torch.stack([confidence, 1 - confidence]).double()
    labels = (torch.rand(300, generator=generator) > confidence).long()
    metric = module.AdaptiveCalibrationError(task='multiclass', num_classes=2, num_bins=15)
    metric.update(probs.T, labels)
    found = pixel_measures(sum_pixels(probs.log(), probs.argmax(0), labels, {}))
    assert found['ECE_adaptive'] == pytest.approx(metric.compute().item(), abs=1e-6)


def test_areas_of_torch_uncertainty(make_pixels):
    module = pytest.importorskip('torch_uncertainty.metrics')
    log_probs, labels = make_pixels(400, seed=2)
    probs = log_probs.exp().double().T
    wrong = (probs.argmax(dim=1) != labels).double()
    doubt = 1 - probs.amax(dim=1)
    counts, errors = group_things(doubt.numpy(), wrong.numpy())
    area, excess = module.AURC(), module.AUSE()
    area.update(probs, labels)
    excess.update(doubt, wrong)
    assert aurc(counts, errors) == pytest.approx(area.compute().item(), abs=1e-6)
    assert ause(counts, errors) == pytest.approx(excess.compute().item(), abs=1e-6)
