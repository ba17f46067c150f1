import numpy as np
import pytest
import torch

from mmdiffseg.evaluation.trust.account import Account
from mmdiffseg.evaluation.trust.labelled import LabelledPrediction


@pytest.fixture(scope='session')
def make_pixels():
    """Log probabilities (K, N) and labels (N,) of pixels that the model is a little too sure of."""

    def make(count=3000, classes=4, seed=0):
        generator = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(classes, count, generator=generator)
        labels = torch.multinomial((logits / 1.7).softmax(0).T, 1, generator=generator)[:, 0]
        log_probs = logits.log_softmax(dim=0)
        return log_probs, labels

    return make


@pytest.fixture(scope='session')
def make_image():
    """A prediction of an image by its number, with labels drawn from what it says."""

    def make(number, *, classes=2, size=16, samples=0, sharpness=1.0, uncertainty=False):
        rng = np.random.default_rng(number)
        field = rng.normal(size=(classes, size // 4, size // 4)).repeat(4, axis=1).repeat(4, axis=2)
        noise = rng.normal(size=(max(samples, 1) + 1, classes, size, size)) * 0.7
        scores = np.exp(2 * sharpness * field)
        labels = (field + noise).argmax(axis=1).astype(np.uint8)
        return LabelledPrediction(
            path=f'data/{number:03}.png',
            probability=(scores / scores.sum(axis=0)).astype(np.float32),
            labels=field.argmax(axis=0).astype(np.uint8),
            raters=labels[:1],
            weights=np.ones(1),
            samples=labels[1:] if samples else None,
            uncertainty=rng.random((size, size), np.float32) if uncertainty else None,
        )

    return make


@pytest.fixture(scope='session')
def make_account(make_image):
    """The account of a model over images by their number."""

    def make(count=30, **options):
        account = Account(dict(classes='abcdefgh'[: options.get('classes', 2)]))
        for number in range(count):
            account.add(make_image(number, **options))
        return account

    return make
