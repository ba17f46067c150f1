import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws
from mmdiffseg.registry import MODELS

# 6 x 5 cells of the feature become 8 x 10 of the map
SCOPES = dict(input_scope=[(0, 6, 1), (0, 5, 1)], output_scope=[(1, 5, 0.5), (0, 5, 0.5)])


def build(time_modulation=True, **options):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='mmdiffseg.DDPMapHead',
            in_channels=16,
            channels=16,
            num_classes=3,
            label_encoder=dict(type='mmdiffseg.MultiLabelEncoder', channels=8, scale=0.5),
            denoiser=dict(
                type='mmdiffseg.BEVMapDecoder', num_layers=2, time_modulation=time_modulation
            ),
            **SCOPES,
        )
        | options
    )
    for parameter in head.denoiser.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return head.eval()


def samples_of(masks):
    return [SegDataSample(gt_map=PixelData(data=mask)) for mask in masks]


FEATURE = torch.randn(3, 16, 6, 5, generator=torch.Generator().manual_seed(1))
MASKS = torch.randint(2, (3, 3, 8, 10), generator=torch.Generator().manual_seed(2)).byte()
METAS = [dict(img_path=f'/data/{name}.npy') for name in 'abc']


def encode(head, masks):
    """Masks (B, 3, 8, 10) on the cells of the feature, class by class as in the released code."""
    table = head.label_encoder.embedding_table.weight
    index = masks.long() * torch.arange(1, 4).view(3, 1, 1)
    index = F.interpolate(index.float(), (6, 5), mode='nearest').long()
    return (2 * table[index].mean(1).sigmoid() - 1).permute(0, 3, 1, 2) * 0.5


# ---------------------------------------------------------------- training


@pytest.mark.parametrize('time_modulation', [True, False])
def test_training_step_by_hand(time_modulation):
    head = build(time_modulation)
    t, noise = torch.tensor([0.3, 0.6, 0.8]), torch.randn(3, 8, 6, 5)
    draws = Draws(dict(t=t, eps=noise))
    losses = head.loss([FEATURE], samples_of(MASKS), {}, draws=draws)
    alpha, sigma = (c.view(3, 1, 1, 1) for c in head.noise_schedule.alpha_sigma(t))
    z_t = alpha * encode(head, MASKS) + sigma * noise
    context = head.denoiser.prepare(FEATURE)
    logits = head.conv_seg(head.denoiser(z_t, head.noise_schedule.log_snr(t), context))
    assert logits.shape == MASKS.shape
    p = logits.sigmoid().where(MASKS == 1, 1 - logits.sigmoid())
    expected = ((1 - p) ** 2 * -p.log()).mean((0, 2, 3)).sum()
    assert losses.keys() == {'loss_focal'}
    torch.testing.assert_close(losses['loss_focal'], expected)


def test_a_generator_replays_a_step_time_first():
    head = build()
    draws = Draws(generator=torch.Generator().manual_seed(3))
    losses = head.loss([FEATURE], samples_of(MASKS), {}, draws=draws)
    g = torch.Generator().manual_seed(3)
    t = torch.rand(3, generator=g) * 0.999
    draws = Draws(dict(t=t, eps=torch.randn(3, 8, 6, 5, generator=g)))
    expected = head.loss([FEATURE], samples_of(MASKS), {}, draws=draws)
    torch.testing.assert_close(losses['loss_focal'], expected['loss_focal'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_training(dtype):
    head = build()
    with torch.autocast('cpu', dtype=dtype):
        losses = head.loss([FEATURE], samples_of(MASKS), {})
    assert losses['loss_focal'].dtype == torch.float32
    losses['loss_focal'].backward()
    assert head.label_encoder.embedding_table.weight.grad.abs().sum() > 0


def test_the_last_layer_starts_like_the_released_one():
    weight = build().conv_seg.weight  # uniform; torch's own would end at 1 / 4
    assert 1 / 4 < weight.abs().max() <= (6 / (16 + 3)) ** 0.5


# ---------------------------------------------------------------- inference


def test_sampling_by_hand():
    # from t = 1, as the released code
    sampler = dict(type='DDIMSampler', time_difference=1, t_max=1.0)
    head = build(generations=2, diffusion_sampler=sampler)
    noise = torch.randn(2, 8, 6, 5)  # one sample, two generations
    context = head.denoiser.prepare(FEATURE[:1])
    z, outputs = noise, []
    for now, then in [(1.0, 1 / 3), (2 / 3, 0.0), (1 / 3, 0.0)]:
        now, then = torch.tensor(now), torch.tensor(then)
        probs = head.denoise(z, now[None], context).sigmoid()
        outputs.append(probs)
        x0 = encode(head, probs > 0.5)
        (a, s), (an, sn) = map(head.noise_schedule.alpha_sigma, (now, then))
        z = an * x0 + sn * (z - a * x0) / s.clamp(min=1e-8)
    result = head.summarise(head.chains([FEATURE[:1]], METAS[:1], Draws(dict(start=noise))), 1)
    torch.testing.assert_close(result[0], torch.stack(outputs).mean((0, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('sampler', ['DDIMSampler', 'DDPMSampler'])
def test_noise_belongs_to_the_sample_not_to_the_batch(sampler):
    head = build(generations=3, diffusion_sampler=dict(type=sampler), max_batch=4)
    together = head.predict([FEATURE], METAS, {})
    assert together.shape == (3, 3, 8, 10)
    assert (together >= 0).all() and (together <= 1).all()
    for order in ([1], [2, 0]):
        alone = head.predict([FEATURE[order]], [METAS[i] for i in order], {})
        torch.testing.assert_close(alone, together[order], rtol=1e-4, atol=1e-5)


def test_given_noise_and_generators_take_the_place_of_names():
    head = build()
    noise = torch.randn(3, 8, 6, 5, generator=torch.Generator().manual_seed(5))
    draws = Draws(dict(start=noise))
    given = head.predict([FEATURE], METAS, {}, draws=draws)
    generator = torch.Generator().manual_seed(5)
    drawn = head.predict([FEATURE], METAS, {}, draws=Draws(generator=generator))
    assert torch.equal(given, drawn)
    assert not torch.allclose(given, head.predict([FEATURE], METAS, {}))
    assert torch.allclose(given, head.predict([FEATURE], METAS, {}, draws=draws, steps=3))
    assert not torch.allclose(given, head.predict([FEATURE], METAS, {}, draws=draws, steps=1))


# ---------------------------------------------------------------- bad input


def test_a_feature_that_is_not_cut_as_declared():
    head = build()
    for call in (
        lambda bev: head.loss([bev], samples_of(MASKS), {}),
        lambda bev: head.predict([bev], METAS, {}),
    ):
        with pytest.raises(ValueError, match='of 6 x 4 cells does not .* which has 6 x 5'):
            call(FEATURE[..., :4])


def test_a_feature_of_other_channels():
    with pytest.raises(ValueError, match='of 15 channels meets in_channels=16: set it to'):
        build().predict([FEATURE[:, 1:]], METAS, {})


@pytest.mark.parametrize(
    'masks, sentence',
    [
        (
            MASKS[:, :2],
            'masks of 2 classes with 8 x 10 cells meet a head for 3 classes with 8 x 10',
        ),
        (MASKS[..., 1:], 'masks of 3 classes with 8 x 9 cells meet a head for 3 classes'),
        (MASKS * 255, r'masks must be binary, 0 or 1, got \[255\] in \d+ cells'),
        (MASKS * 0.5, r'masks must be binary, 0 or 1, got \[0.5\] in \d+ cells'),
    ],
)
@pytest.mark.parametrize('type', ['DDPMapHead', 'FCNMapHead'])
def test_masks_that_do_not_fit(type, masks, sentence):
    head = build()
    if type == 'FCNMapHead':
        options = dict(in_channels=16, channels=16, num_classes=3, **SCOPES)
        head = MODELS.build(dict(type='mmdiffseg.FCNMapHead', **options))
    with pytest.raises(ValueError, match=sentence):
        head.loss([FEATURE], samples_of(masks), {})
