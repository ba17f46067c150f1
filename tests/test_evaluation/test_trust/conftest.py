import pytest
import torch


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
