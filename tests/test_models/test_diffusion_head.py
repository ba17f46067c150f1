"""What the contract of heads allows: diffusion over labels, and any solver in any head."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.registry import MODELS

METAS = [dict(img_path='a.png'), dict(img_path='b.png')]


class LabelHead(DiffusionHead, BaseDecodeHead):
    """One convolution over a map of labels."""

    def __init__(self, *, noise_schedule, label_encoder=None, final='argmax'):
        super().__init__(in_channels=4, channels=4, num_classes=3)
        self.build_diffusion(
            label_encoder=label_encoder,
            noise_schedule=noise_schedule,
            diffusion_sampler=dict(type='CategoricalSampler', final=final),
            steps=3,
            generations=2,
            max_batch=None,
            seed=0,
        )
        self.denoiser = nn.Conv2d(self.label_encoder.channels, 4, 3, padding=1)

    def prepare(self, feature, metas):
        return feature

    def map_shape(self, feature, metas):
        return (self.label_encoder.channels, *feature.shape[2:])

    def denoise(self, z_t, t, context):
        context = context.repeat(len(z_t) // len(context), 1, 1, 1)  # (G B, C, h, w)
        return self.cls_seg(self.denoiser(z_t) + context)

    def encode_output(self, output, size):
        return self.label_encoder.encode_output(output)


def build(kind='AbsorbingDiffusion', **options):
    torch.manual_seed(0)
    schedule = dict(type='CosineBetas', num_timesteps=20)
    if kind != 'CosineBetas':
        schedule = dict(type=kind, num_classes=3, schedule=schedule)
    return LabelHead(noise_schedule=schedule, **options).eval()


def ends(head, images=(0, 1)):
    features = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        chains = head.chains([features[list(images)]], [METAS[i] for i in images])
        return torch.cat([list(chain)[-1].x0 for chain in chains]).unflatten(0, (2, -1))


@pytest.mark.parametrize('kind', ['UniformDiffusion', 'AbsorbingDiffusion'])
def test_a_head_holds_categorical_diffusion_like_any_other(kind):
    head = build(kind, final='sample')
    assert head.label_encoder is head.noise_schedule
    labels = torch.randint(3, (2, 6, 6))
    draws = Draws(generator=torch.Generator().manual_seed(0))
    z_t, t, noise = head.corrupt(head.label_encoder.encode(labels), draws)
    assert z_t.shape == (2, head.label_encoder.channels, 6, 6) and t.shape == (2,)
    expected = head.noise_schedule.corrupt(labels, t, noise)
    assert torch.equal(z_t.argmax(dim=1), expected)

    together = ends(head)  # (G, B, K, h, w)
    assert together.shape == (2, 2, 3, 6, 6) and torch.equal(ends(head), together)
    assert torch.equal(ends(head, [1]), together[:, 1:])
    assert not torch.equal(together[0], together[1])


def test_an_encoder_that_does_not_fit_the_schedule_is_refused():
    message = 'AbsorbingDiffusion corrupts the labels themselves: set label_encoder=None'
    with pytest.raises(ValueError, match=message):
        build(label_encoder=dict(type='OneHotEncoder', num_classes=3))
    with pytest.raises(ValueError, match='CosineBetas corrupts encoded labels: label_encoder=None'):
        build('CosineBetas')


HEADS = {
    'ddp': dict(
        type='mmdiffseg.DDPHead',
        in_channels=16,
        channels=16,
        num_classes=3,
        denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=4),
    ),
    'segdiff': dict(
        type='mmdiffseg.SegDiffHead',
        in_channels=32,
        num_classes=3,
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=32,
            channel_mult=(1, 2),
            num_res_blocks=1,
            attention_downsample=(2,),
        ),
    ),
}
FLOW = dict(type='LinearInterpolant')


@pytest.mark.parametrize(
    'sampler, schedule',
    [
        ('EulerSampler', FLOW),
        ('HeunSampler', FLOW),
        ('DPMSolverMultistepSampler', None),
        ('DPMSolverMultistepSampler', FLOW),
        ('UniPCSampler', None),
        ('UniPCSampler', FLOW),
    ],
)
@pytest.mark.parametrize('kind', HEADS)
def test_heads_take_every_solver(kind, sampler, schedule):
    config = dict(HEADS[kind], diffusion_sampler=dict(type=sampler), steps=3, generations=2)
    if schedule is not None:
        config['noise_schedule'] = schedule
        if kind == 'segdiff':
            config['prediction_type'] = 'velocity'
    torch.manual_seed(0)
    head = MODELS.build(ConfigDict(config)).eval()
    for parameter in head.denoiser.parameters():  # zeros at the start say nothing
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    inputs = torch.randn(2, head.in_channels, 8, 8)

    def sample(images, names):
        metas = [dict(img_path=f'{name}.png') for name in names]
        with torch.no_grad():
            chains = list(head.chains([inputs[images]], metas))
            return head.summarise(chains, len(metas))

    both = sample([0, 1], 'ab')
    assert both.isfinite().all()
    assert torch.equal(sample([0, 1], 'ab'), both)
    torch.testing.assert_close(sample([1], 'b'), both[1:], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(sample([1], 'c'), both[1:], atol=1e-3)

    # and its training times and noise are those of the schedule
    z_t, t, eps = head.corrupt(torch.zeros(2, 3, 4, 4), Draws())
    _, sigma = head.noise_schedule.alpha_sigma(t)
    torch.testing.assert_close(z_t, sigma.float().view(2, 1, 1, 1) * eps)


def test_a_continuous_schedule_needs_a_number_of_steps():
    with pytest.raises(ValueError, match='LinearInterpolant is continuous: give a number'):
        MODELS.build(
            ConfigDict(
                HEADS['segdiff'],
                noise_schedule=FLOW,
                diffusion_sampler=dict(type='EulerSampler'),
                steps=None,
            )
        )


def test_ddp_encodes_its_output_as_it_is_asked_to():
    inputs, metas = torch.randn(2, 16, 8, 8), METAS
    chains = {}
    for reencode in ('argmax', 'soft', 'draw'):
        torch.manual_seed(0)
        encoder = dict(type='ClassEmbeddingEncoder', scale=0.5, reencode=reencode)
        head = MODELS.build(ConfigDict(HEADS['ddp'], label_encoder=encoder, generations=2)).eval()
        with torch.no_grad():
            for chain in head.chains([inputs], metas, steps=3):
                chains[reencode] = list(chain)
            again = [step for chain in head.chains([inputs], metas, steps=3) for step in chain]
        assert torch.equal(again[-1].output, chains[reencode][-1].output)
    codes = head.label_encoder.codebook()
    first = {name: steps[0] for name, steps in chains.items()}
    probs = first['soft'].output.softmax(dim=1)
    expected = torch.einsum('bkhw,kc->bchw', probs, codes[:3])
    torch.testing.assert_close(first['soft'].x0, expected)
    hard = head.label_encoder.encode(first['argmax'].output.argmax(dim=1))
    assert torch.equal(first['argmax'].x0, hard)
    # a code of some class in every pixel, not always the most likely one
    x0 = first['draw'].x0.permute(0, 2, 3, 1).flatten(0, 2)  # (N, C)
    distance, drawn = torch.cdist(x0, codes[:3]).min(dim=1)
    assert distance.max() < 1e-3
    share = (drawn == first['draw'].output.argmax(dim=1).flatten()).float().mean()
    assert share.item() == pytest.approx(probs.amax(dim=1).mean().item(), abs=0.1)


def test_segdiff_has_nothing_to_encode_again():
    encoder = dict(type='OneHotEncoder', reencode='soft')
    with pytest.raises(ValueError, match="leave out reencode='soft'"):
        MODELS.build(ConfigDict(HEADS['segdiff'], label_encoder=encoder))
