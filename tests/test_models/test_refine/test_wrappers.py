import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

import mmdiffseg
from mmdiffseg.models.refine import Target


class Says(nn.Module):
    """A model that predicts what it is told."""

    def __init__(self, sample):
        super().__init__()
        self.sample = sample
        self.data_preprocessor = nn.Identity()

    def predict(self, inputs, data_samples):
        return [self.sample]


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    return tmp_path / 'a.png', pixels


def target_of(refiner, picture, mask, name):
    _, pixels = picture
    mean, std = torch.tensor([120.0, 110, 100]), torch.tensor(60.0)
    image = ((torch.from_numpy(pixels).float() - mean) / std).permute(2, 0, 1)
    return Target(image=image, mask=mask, name=f'a.png/None/{name}')


def test_label_maps_of_mmseg(build_refiner, picture):
    refiner = build_refiner(dict(mode='object'))
    labels = torch.zeros(1, 40, 56, dtype=torch.long)
    labels[0, 5:20, 5:30] = 2
    sample = SegDataSample(
        metainfo=dict(img_path=str(picture[0])), pred_sem_seg=PixelData(data=labels.clone())
    )
    model = mmdiffseg.RefinedSegmentor(model=Says(sample), refiner=refiner, background=0)
    (found,) = model(torch.zeros(1, 3, 8, 8), [sample], mode='predict')
    (one,) = refiner.refine([target_of(refiner, picture, labels[0] == 2, 2)])
    expected = torch.zeros(40, 56, dtype=torch.long)
    left, top, right, bottom = one.box
    expected[top:bottom, left:right][one.probability >= 0.5] = 2
    assert torch.equal(found.pred_sem_seg.data[0], expected)
    assert not torch.equal(expected, labels[0])


def test_instances_of_mmdet(build_refiner, picture):
    refiner = build_refiner(dict(mode='object'))
    masks = torch.zeros(2, 40, 56, dtype=torch.bool)
    masks[0, 5:20, 5:30] = masks[1, 0, 0] = True  # the second is too small
    sample = SegDataSample(metainfo=dict(img_path=str(picture[0])))
    sample.pred_instances = InstanceData(masks=masks.clone(), scores=torch.tensor([0.9, 0.8]))
    model = mmdiffseg.RefinedDetector(model=Says(sample), refiner=refiner)
    (found,) = model(torch.zeros(1, 3, 8, 8), [sample], mode='predict')
    (one,) = refiner.refine([target_of(refiner, picture, masks[0], 0)])
    left, top, right, bottom = one.box
    expected = torch.zeros_like(masks)
    expected[0, top:bottom, left:right] = one.probability >= 0.5
    expected[1] = masks[1]
    assert torch.equal(found.pred_instances.masks, expected)
    assert found.pred_instances.scores.tolist() == pytest.approx([0.9, 0.8])


def test_weights_of_both_parts(build_refiner, tmp_path):
    refiner, other = build_refiner(), build_refiner()
    for parameter in other.parameters():
        parameter.data.add_(1)
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'refiner.pth')
    model = mmdiffseg.RefinedSegmentor(
        model=Says(None), refiner=refiner, refiner_checkpoint=str(tmp_path / 'refiner.pth')
    )
    for name, value in other.state_dict().items():
        assert torch.equal(model.refiner.state_dict()[name], value)


def test_no_training_and_no_picture(build_refiner):
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.ones(1, 40, 56, dtype=torch.long)))
    model = mmdiffseg.RefinedSegmentor(model=Says(sample), refiner=build_refiner())
    with pytest.raises(NotImplementedError, match='by themselves'):
        model(torch.zeros(1, 3, 8, 8), [sample], mode='loss')
    with pytest.raises(FileNotFoundError, match='reads pictures at their full size from img_path'):
        model(torch.zeros(1, 3, 8, 8), [sample], mode='predict')
