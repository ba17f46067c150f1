"""Pages about sentences."""

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.models.referring.ref_diff import Referral
from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.visualization.pages import referral as module
from mmdiffseg.visualization.pages.referral import answer_page, referral_pages

META = dict(classes=('background', 'referred'), palette=[[47, 50, 60], [243, 156, 18]])
IMAGE = np.full((20, 30, 3), 128, np.uint8)


def sample(texts, **fields):
    masks = torch.zeros(len(texts), 20, 30, dtype=torch.bool)
    masks[:, 5:9, 5:12] = True
    made = SegDataSample(metainfo=dict(texts=texts) if len(texts) > 1 else dict(text=texts[0]))
    made.pred_instances = InstanceData(masks=masks)
    for name, data in fields.items():
        made.set_field(PixelData(data=data), name, dtype=PixelData)
    return made


def captions(monkeypatch, made):
    shown = {}
    monkeypatch.setattr(module, 'panel', lambda pictures, **options: shown.update(pictures))
    referral_pages(IMAGE, made, META)
    return shown


def test_each_sentence_has_its_pictures(monkeypatch):
    heat, truth = torch.rand(2, 20, 30), torch.ones(1, 20, 30).long()
    shown = captions(monkeypatch, sample(['a cat', 'a dog'], attn_map=heat, gt_sem_seg=truth))
    assert list(shown) == [
        *('image', 'ground truth'),
        *('a cat', 'attention 1', 'errors 1'),
        *('a dog', 'attention 2', 'errors 2'),
    ]
    # the mask has the colour of what is referred to, the rest that of the background
    assert shown['a cat'][6, 6, 0] > shown['a cat'][15, 20, 0]


def test_without_truth_and_attention(monkeypatch):
    assert list(captions(monkeypatch, sample(['a cat']))) == ['image', 'a cat']


def test_one_page():
    (page,) = referral_pages(
        IMAGE, sample(['a cat that sleeps on ' + 'a very ' * 9 + 'old sofa']), META
    )
    assert page.dtype == np.uint8 and page.shape[2] == 3


def test_page_of_an_answer():
    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[0, 2:8, 2:9], masks[1, 10:18, 12:25], masks[2] = True, True, True
    referral = Referral(
        text='the red circle on the left of the very long sentence',
        root=Root('circle', 8),
        proposals=masks,
        keep=torch.tensor([True, True, False]),
        scores=dict(gen=torch.tensor([0.1, 0.6, torch.nan])),
        total=torch.tensor([0.1, 0.6, 0.0]),
        index=1,
        heat=torch.rand(20, 30).double(),
    )
    image = np.full((20, 30, 3), 200, dtype=np.uint8)
    with_heat = answer_page(image, referral)
    referral.heat = None
    without = answer_page(image, referral, proposals=1)
    # image, answer, attention and both kept proposals; image, answer and one proposal
    assert with_heat.shape[1] == 8 + 5 * 264 and without.shape[1] == 8 + 3 * 264
    referral.notes = ['a doubt that is long enough to fill more than a single line ' * 3]
    noted = answer_page(image, referral, proposals=1)
    assert noted.shape[1] == without.shape[1] and noted.shape[0] > without.shape[0] + 20
    assert (noted[: without.shape[0]] == without).all()
    assert (noted[without.shape[0] :] < 100).any()
