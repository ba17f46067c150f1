import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.evaluation.trust.account import Account


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
def make_sample():
    """A prediction of an image by its number, with labels drawn from what it says."""

    def make(number, *, classes=2, size=16, samples=0, sharpness=1.0, uncertainty=False):
        generator = torch.Generator().manual_seed(number)
        field = torch.randn(classes, size // 4, size // 4, generator=generator)
        field = field.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
        noise = torch.randn(max(samples, 1) + 1, classes, size, size, generator=generator) * 0.7
        sample = SegDataSample(metainfo=dict(img_path=f'data/{number:03}.png'))
        sample.seg_logits = PixelData(data=2 * sharpness * field)
        sample.pred_sem_seg = PixelData(data=field.argmax(dim=0, keepdim=True))
        labels = (field + noise).argmax(dim=1)
        sample.gt_sem_seg = PixelData(data=labels[:1])
        if samples:
            sample.samples = PixelData(data=labels[1:])
        if uncertainty:
            sample.uncertainty = PixelData(data=torch.rand(1, size, size, generator=generator))
        return sample

    return make


@pytest.fixture(scope='session')
def make_account(make_sample):
    """The account of a model over images by their number."""

    def make(count=30, **options):
        classes = options.get('classes', 2)
        account = Account(dict(classes=[f'class {k}' for k in range(classes)]))
        for number in range(count):
            account.add(make_sample(number, **options))
        return account

    return make
