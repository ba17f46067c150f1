import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.models.in_context import InContextPreprocessor


def episode(query=(40, 64), prompts=((64, 30), (20, 64)), **masks):
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in prompts]
    masks = masks.get('masks', [torch.ones(size, dtype=torch.uint8) for size in prompts])
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, *query, dtype=torch.long)))
    image = torch.full((3, *query), 255, dtype=torch.uint8)
    image[0] = 0  # blue, in the order of mmcv
    return dict(inputs=dict(query=image, prompts=images, prompt_masks=masks), data_samples=sample)


def test_batch_of_queries_and_prompts():
    preprocessor = InContextPreprocessor(size=64)
    samples = [episode(), episode((64, 64), ((64, 64), (64, 64)))]
    samples[0]['inputs']['prompt_masks'][1][:, 10:] = 0
    samples[0]['inputs']['prompt_masks'][1][:, :3] = 255
    batch = preprocessor(pseudo_collate(samples), training=True)
    inputs = batch['inputs']
    assert inputs['query'].shape == (2, 3, 64, 64)
    assert inputs['prompts'].shape == (2, 2, 3, 64, 64)
    assert inputs['prompt_masks'].shape == (2, 2, 64, 64)
    # RGB in [-1, 1], grey outside
    assert inputs['query'][0, :, 0, 0].tolist() == [1, 1, -1]
    assert inputs['query'][0, :, 41, 0].tolist() == [0, 0, 0]
    # prompts stay in their order; what is to be ignored is background
    image = samples[0]['inputs']['prompts'][1].flip(0).float()
    torch.testing.assert_close(inputs['prompts'][0, 1, :, :20], (image - 127.5) / 127.5)
    assert inputs['prompts'][0, 1, :, 20:].abs().sum() == 0
    expected = torch.zeros(64, 64)
    expected[:20, 3:10] = 1
    assert torch.equal(inputs['prompt_masks'][0, 1], expected)
    assert inputs['prompt_masks'][0, 0].sum() == 64 * 30
    labels = batch['data_samples'][0].gt_sem_seg.data
    assert labels.shape == (1, 64, 64) and labels[0, 40:].unique().tolist() == [255]


def test_test_labels_stay_and_the_padding_is_known():
    batch = InContextPreprocessor(size=64)(pseudo_collate([episode()]))
    sample = batch['data_samples'][0]
    assert sample.gt_sem_seg.data.shape == (1, 40, 64)
    assert tuple(sample.img_padding_size) == (0, 0, 0, 24)


def test_prompts_and_samples_are_optional():
    batch = InContextPreprocessor(size=64)(dict(inputs=dict(query=[episode()['inputs']['query']])))
    assert batch['inputs'].keys() == {'query'} and batch['data_samples'] is None


@pytest.mark.parametrize(
    ('sample', 'message'),
    [
        (episode(query=(65, 64)), r'of \(65, 64\) pixels does not fit into 64 x 64'),
        (episode(prompts=((64, 80),)), r'of \(64, 80\) pixels does not fit'),
        (
            episode(prompts=((64, 30),), masks=[torch.ones(30, 64)]),
            r'a prompt of \(64, 30\) pixels has a mask of \(30, 64\)',
        ),
        (
            episode(prompts=((64, 64),), masks=[torch.full((64, 64), 3)]),
            r'must hold 0, 1 and 255 \(ignored\), got \[3\]',
        ),
    ],
)
def test_what_does_not_fit_is_refused(sample, message):
    with pytest.raises(ValueError, match=message):
        InContextPreprocessor(size=64)(pseudo_collate([sample]))
