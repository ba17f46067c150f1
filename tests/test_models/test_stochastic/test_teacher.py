import copy

import pytest
import torch

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.stochastic import Teacher
from mmdiffseg.registry import MODELS

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
NOISE = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
METAS = [dict(img_path='a.png'), dict(img_path='b.png')]
GAUSSIAN = dict(noise_schedule=dict(type='CosineBetas', num_timesteps=50))
DDIM = dict(diffusion_sampler=dict(type='DDIMSampler'), prediction_type='x0')


@pytest.fixture
def build(build_head):
    """Builds a small segmentor around a head of a type."""

    def build(kind='EncodedMapHead', **options):
        model = MODELS.build(
            dict(
                type='mmdiffseg.StochasticSegmentor',
                backbone=dict(type='mmdiffseg.IdentityBackbone'),
                decode_head=dict(type='mmdiffseg.PixelwiseHead', in_channels=3, num_classes=4),
            )
        )
        model.decode_head = build_head(kind, **options)
        return model

    return build


@torch.no_grad()
def test_the_answer_is_the_end_of_an_euler_chain(build):
    model = build(prediction_type='x0')
    head = model.decode_head
    context = head.prepare(IMAGES, METAS)
    z = NOISE
    for now, then in [(1, 2 / 3), (2 / 3, 1 / 3), (1 / 3, 0)]:
        x0 = head.denoiser(z, torch.tensor([1000 * now]), context)
        z = z + (then - now) * (z - x0.clamp(-1, 1)) / now
    answer = Teacher(model=model, steps=3).answer(IMAGES, METAS, NOISE)
    # the end is the last estimate, which is not clamped
    assert torch.equal(answer, x0.argmax(dim=1))
    assert len(answer.unique()) > 1
    assert not torch.equal(answer, Teacher(model=model, steps=1).answer(IMAGES, METAS, NOISE))


@pytest.mark.parametrize('options, first', [({}, 1000.0), (GAUSSIAN | DDIM, 49.0)])
def test_the_student_learns_the_answer_in_one_step(build, truth, monkeypatch, options, first):
    model = build(**options)
    model.teacher = Teacher(model=copy.deepcopy(model), steps=3)
    labels = model.teacher.answer(IMAGES, METAS, NOISE)
    head, asked = model.decode_head, []
    forward = head.denoiser.forward
    monkeypatch.setattr(head.denoiser, 'forward', lambda *a: asked.append(a) or forward(*a))
    # the truth does not count
    losses = model.loss(IMAGES, truth(1 - labels.clamp(max=1)), draws=Draws(dict(start=NOISE)))
    ((z_t, time, context),) = asked
    assert torch.equal(z_t, NOISE) and time.tolist() == [first]
    one_step = forward(z_t, time, context)
    if not options:  # a velocity
        one_step = NOISE - one_step
    error = one_step - (2 * torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2) - 1)
    torch.testing.assert_close(losses, {'decode.loss_distillation': error.square().mean()})


def test_a_student_neither_trains_nor_saves_its_teacher(build, truth):
    model = build()
    names, teacher = set(model.state_dict()), copy.deepcopy(model)
    model.teacher = Teacher(model=teacher, steps=2)
    assert set(model.state_dict()) == names
    (loss,) = model.train().loss(IMAGES, truth(torch.zeros(2, 8, 8, dtype=torch.long))).values()
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())
    assert all(p.grad is None for p in teacher.parameters()) and not teacher.training


@pytest.mark.parametrize(
    'kind, options, got',
    [
        ('CategoricalMapHead', {}, 'CategoricalMapHead with CategoricalSampler'),
        ('PixelwiseHead', {}, 'PixelwiseHead$'),
        (
            'EncodedMapHead',
            GAUSSIAN | dict(diffusion_sampler=dict(type='DDPMSampler')),
            'EncodedMapHead with DDPMSampler',
        ),
    ],
)
def test_a_head_whose_noise_does_not_decide_is_refused(build, kind, options, got):
    with pytest.raises(ValueError, match=f'noise alone decides the sample.*got {got}'):
        Teacher(model=build(kind, **options), steps=4)
