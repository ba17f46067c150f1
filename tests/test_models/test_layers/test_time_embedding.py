import torch

from mmdiffseg.models.layers.time_embedding import (
    LearnedFourierFeatures,
    sinusoidal_embedding,
    time_mlp,
)


def test_fourier_features_by_their_formula():
    layer = LearnedFourierFeatures(frequencies=3)
    values = torch.tensor([-18.9, 0.0, 11.5])
    features = layer(values)
    assert features.shape == (3, 7)
    angle = 2 * torch.pi * values[0] * layer.weights[2]
    torch.testing.assert_close(features[0, 0], values[0])
    torch.testing.assert_close(features[0, 3], angle.sin(), rtol=0, atol=5e-5)
    torch.testing.assert_close(features[0, 6], angle.cos(), rtol=0, atol=5e-5)


def test_phases_stay_exact_under_autocast():
    layer = LearnedFourierFeatures()
    values = torch.tensor([-18.9075])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(layer(values), layer(values.double()), rtol=0, atol=2e-5)


def test_parameter_names_of_the_released_checkpoints():
    shapes = {name: tuple(p.shape) for name, p in time_mlp(1024).named_parameters()}
    assert shapes == {
        '0.weights': (8,),
        '1.weight': (1024, 17),
        '1.bias': (1024,),
        '3.weight': (1024, 1024),
        '3.bias': (1024,),
    }


def test_sinusoids_by_their_formula():
    t = torch.tensor([0, 7, 999])
    embedding = sinusoidal_embedding(t, 7, cos_first=True)
    assert embedding.shape == (3, 7) and not embedding[:, 6].any()
    frequency = 10000 ** (-2 / 3)  # the last of three
    torch.testing.assert_close(embedding[:, 2], (t * frequency).cos(), rtol=0, atol=2e-6)
    torch.testing.assert_close(embedding[:, 5], (t * frequency).sin(), rtol=0, atol=2e-6)

    embedding = sinusoidal_embedding(t, 6, last_frequency_included=True)
    torch.testing.assert_close(embedding[:, 2], (t / 10000).sin(), rtol=0, atol=1e-6)
    torch.testing.assert_close(embedding[:, 5], (t / 10000).cos(), rtol=0, atol=1e-6)
