import pytest
import torch

from mmdiffseg.diffusion import Draws, corrupt

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
METAS = [dict(img_path='a.png'), dict(img_path='b.png')]
GAUSSIAN = dict(
    noise_schedule=dict(type='CosineBetas', num_timesteps=50),
    diffusion_sampler=dict(type='DDIMSampler'),
)


def loss(head, truth, labels, **given):
    return head.loss([IMAGES], truth(labels), {}, draws=Draws(given))['loss_mse']


def test_the_velocity_is_learned(build_head, truth, monkeypatch):
    head = build_head('EncodedMapHead')
    labels, t, eps = torch.randint(4, (2, 8, 8)), torch.rand(2), torch.randn(2, 4, 8, 8)
    labels[0, :3] = 255
    x0 = head.label_encoder.encode(labels)
    asked = []
    answer = torch.randn(2, 4, 8, 8)
    monkeypatch.setattr(head.denoiser, 'forward', lambda *args: asked.append(args) or answer)
    found = loss(head, truth, labels, t=t, eps=eps)
    errors = (answer - (eps - x0)).square().permute(0, 2, 3, 1)[labels != 255]
    torch.testing.assert_close(found, errors.mean())
    z_t, time, _ = asked[0]
    torch.testing.assert_close(z_t, corrupt(x0, eps, 1 - t, t))
    torch.testing.assert_close(time, 1000 * t)


@pytest.mark.parametrize('prediction_type', ['x0', 'eps', 'v'])
def test_gaussian_predictions(build_head, truth, monkeypatch, prediction_type):
    head = build_head('EncodedMapHead', prediction_type=prediction_type, **GAUSSIAN)
    labels, t, eps = torch.randint(4, (2, 8, 8)), torch.tensor([3, 40]), torch.randn(2, 4, 8, 8)
    x0 = head.label_encoder.encode(labels)
    alpha, sigma = (c.float().view(-1, 1, 1, 1) for c in head.noise_schedule.alpha_sigma(t))
    answer = dict(x0=x0, eps=eps, v=alpha * eps - sigma * x0)[prediction_type]
    monkeypatch.setattr(head.denoiser, 'forward', lambda z_t, time, _: answer)
    assert loss(head, truth, labels, t=t, eps=eps) < 1e-10
    output, _ = head.predict_step(alpha * x0 + sigma * eps, t, None)
    torch.testing.assert_close(output, x0, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('steps', [1, 4])
@pytest.mark.parametrize('encoder', ['OneHotEncoder', 'AnalogBitsEncoder'])
def test_a_perfect_network_gives_the_truth(build_head, monkeypatch, steps, encoder):
    head = build_head(
        'EncodedMapHead', steps=steps, label_encoder=dict(type=encoder, scale=1.0), generations=2
    )
    labels = torch.randint(4, (2, 8, 8))
    x0 = head.label_encoder.encode(labels).repeat(2, 1, 1, 1)

    def velocity(z_t, t, context):
        return (z_t - x0) / (t / 1000).view(-1, 1, 1, 1)

    monkeypatch.setattr(head.denoiser, 'forward', velocity)
    probs = head.generate(head.chains([IMAGES], METAS), 2)
    assert torch.equal(probs.argmax(dim=2), labels.expand(2, -1, -1, -1))


def test_estimates_are_clamped_for_the_next_step_alone(build_head):
    head = build_head('EncodedMapHead')
    output = torch.tensor([1.5, -0.2, 2.0, -3.0]).view(1, 4, 1, 1)
    clamped = torch.tensor([1.0, -0.2, 1.0, -1.0])
    assert torch.equal(head.encode_output(output, (1, 1)).flatten(), clamped)
    assert head.probabilities(output).flatten().tolist() == [0, 0, 1, 0]
    head.clip_denoised = False
    assert torch.equal(head.encode_output(output, (1, 1)), output)


@pytest.mark.parametrize('prediction', ['eps', 'v'])
def test_a_prediction_that_does_not_fit_a_flow_is_refused(build_head, prediction):
    with pytest.raises(ValueError, match=f"'x0', 'velocity'.*, got {prediction!r}"):
        build_head('EncodedMapHead', prediction_type=prediction)


def test_an_encoder_that_does_not_fit_is_refused(build_head):
    with pytest.raises(ValueError, match='codes of ClassEmbeddingEncoder are learned'):
        build_head('EncodedMapHead', label_encoder=dict(type='ClassEmbeddingEncoder'))
    with pytest.raises(ValueError, match="leave out reencode='soft'"):
        build_head('EncodedMapHead', label_encoder=dict(type='OneHotEncoder', reencode='soft'))
