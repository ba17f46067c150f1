import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.models.ddp import DeformableMapDecoder, ZeroMapDecoder
from mmdiffseg.registry import MODELS

SIZES = dict(feature_channels=12, map_channels=8, channels=16, num_layers=2)
FEATURE = torch.randn(2, 12, 6, 5, generator=torch.Generator().manual_seed(1))


def build():
    torch.manual_seed(0)
    decoder = ZeroMapDecoder(**SIZES).eval()
    for parameter in decoder.parameters():  # away from the zeros of the initialisation
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return decoder


def test_it_is_the_decoder_at_a_zero_map_and_one_time():
    twin, decoder = build(), DeformableMapDecoder(**SIZES).eval()
    decoder.load_state_dict(twin.state_dict())
    context = decoder.prepare(FEATURE)
    z_t = torch.randn(4, 8, 6, 5)  # two generations
    expected = decoder(torch.zeros_like(z_t), torch.zeros(1), context)
    for time in (torch.tensor([-7.0]), torch.tensor([-9.0, -1.0, 0.0, 9.0])):
        torch.testing.assert_close(twin(z_t, time, context), expected)
        assert not torch.allclose(decoder(z_t, time, context), expected, atol=1e-2)
    assert not torch.allclose(expected[0], expected[1])  # the images differ


@pytest.fixture
def head():
    denoiser = dict(type='mmdiffseg.ZeroMapDecoder', num_layers=2)
    options = dict(in_channels=12, channels=16, num_classes=4, denoiser=denoiser)
    return MODELS.build(dict(type='mmdiffseg.DDPHead', **options))


def test_steps_and_seeds_change_nothing(head):
    metas = [dict(img_path=name, img_shape=(24, 20)) for name in 'ab']
    head.eval()
    one, ten = (head.predict([FEATURE], metas, {}, steps=steps) for steps in (1, 10))
    torch.testing.assert_close(one, ten)
    head.seed = 5
    torch.testing.assert_close(head.predict([FEATURE], metas, {}), one)


def test_every_parameter_takes_part_in_training(head):
    labels = torch.randint(4, (2, 1, 24, 20))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    head.loss([FEATURE], samples, {})['loss_ce'].backward()
    # distributed training waits for the gradient of each
    assert [name for name, p in head.named_parameters() if p.grad is None] == []
    assert not head.label_encoder.embedding_table.weight.grad.any()
    assert head.denoiser.transform.conv.weight.grad[:, :12].any()
    assert not head.denoiser.transform.conv.weight.grad[:, 12:].any()
