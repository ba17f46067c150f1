import pytest
import torch

from mmdiffseg.diffusion import (
    AnalogBitsEncoder,
    BinaryMaskEncoder,
    ClassEmbeddingEncoder,
    KroneckerEncoder,
    OneHotEncoder,
    PaletteEncoder,
)

ENCODERS = [
    OneHotEncoder,
    AnalogBitsEncoder,
    ClassEmbeddingEncoder,
    KroneckerEncoder,
    PaletteEncoder,
]


@pytest.mark.parametrize('encoder', ENCODERS)
@pytest.mark.parametrize('num_classes', [2, 7, 8, 150])
def test_every_label_has_a_code_of_its_own(encoder, num_classes):
    encoder = encoder(num_classes=num_classes, scale=0.3)
    labels = torch.randint(num_classes, (2, 9, 5))
    labels[0, :2] = 255
    x0 = encoder.encode(labels)
    assert x0.shape == (2, encoder.channels, 9, 5)
    assert x0.abs().max() <= 0.3
    noisy = (x0 + 1e-3 * torch.randn_like(x0)).permute(0, 2, 3, 1).flatten(0, 2)  # (N, C)
    nearest = torch.cdist(noisy, encoder.codebook()).argmin(dim=1).view_as(labels)
    assert torch.equal(nearest, labels.masked_fill(labels == 255, num_classes))


@pytest.mark.parametrize('encoder', ENCODERS)
@pytest.mark.parametrize('num_classes', [2, 7, 150])
def test_maps_are_decoded_to_the_nearest_code(encoder, num_classes):
    encoder = encoder(num_classes=num_classes, scale=0.3)
    labels = torch.randint(num_classes, (2, 9, 5))
    x0 = encoder.encode(labels)
    assert torch.equal(encoder.decode(x0 + 1e-3 * torch.randn_like(x0)), labels)
    x0 = torch.randn_like(x0)
    codes = encoder.codebook()[:num_classes]
    nearest = torch.cdist(x0.permute(0, 2, 3, 1).flatten(0, 2), codes).argmin(dim=1)
    assert (encoder.decode(x0).flatten() == nearest).float().mean() > 0.98  # but for ties


@pytest.mark.parametrize('encoder', ENCODERS)
def test_logits_are_encoded_by_their_most_likely_class(encoder):
    encoder = encoder(num_classes=5)
    logits = torch.randn(2, 5, 4, 4)
    assert torch.equal(encoder.encode_output(logits), encoder.encode(logits.argmax(1)))


@pytest.mark.parametrize('encoder', [*ENCODERS, BinaryMaskEncoder])
def test_the_expected_code_is_the_mean_of_the_codes(encoder):
    encoder = encoder(num_classes=2, reencode='soft')
    logits = torch.randn(2, 2, 4, 3)
    codes = [encoder.encode(torch.full((2, 4, 3), k)) for k in (0, 1)]
    probs = logits.softmax(dim=1)
    expected = probs[:, :1] * codes[0] + probs[:, 1:] * codes[1]
    torch.testing.assert_close(encoder.encode_output(logits), expected)
    sure = 200 * torch.eye(2)[[0, 1, 1, 0]].T.reshape(1, 2, 4, 1)
    labels = torch.tensor([0, 1, 1, 0]).reshape(1, 4, 1)
    torch.testing.assert_close(encoder.encode_output(sure), encoder.encode(labels))


def test_the_expected_code_is_made_in_full_precision():
    encoder = OneHotEncoder(num_classes=3, reencode='soft')
    logits = torch.randn(1, 3, 4, 4)
    expected = encoder.encode_output(logits)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = encoder.encode_output(logits)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_unknown_reencodings_are_refused():
    with pytest.raises(ValueError, match="reencode must be one of .*, got 'mean'"):
        OneHotEncoder(num_classes=3, reencode='mean')


def test_one_hot_codes():
    x0 = OneHotEncoder(num_classes=3, scale=0.1).encode(torch.tensor([[[1, 255]]]))
    expected = torch.tensor([[-0.1, 0.1, -0.1], [-0.1, -0.1, -0.1]])
    torch.testing.assert_close(x0[0, :, 0].T, expected)


@pytest.mark.parametrize('num_classes, channels', [(1, 1), (3, 2), (4, 3), (150, 8), (255, 8)])
def test_analog_bits_have_room_for_the_ignored_class(num_classes, channels):
    assert AnalogBitsEncoder(num_classes=num_classes).channels == channels


def test_analog_bits_are_binary_digits():
    x0 = AnalogBitsEncoder(num_classes=6, scale=1).encode(torch.tensor([[[5, 255]]]))
    assert x0[0, :, 0].T.tolist() == [[1, -1, 1], [1, 1, -1]]


def test_class_embedding_formula_and_gradient():
    encoder = ClassEmbeddingEncoder(num_classes=4, channels=16, scale=0.01)
    assert encoder.embedding_table.weight.shape == (5, 16)
    x0 = encoder.encode(torch.tensor([[[2, 255]]]))
    row = encoder.embedding_table.weight[2]
    torch.testing.assert_close(x0[0, :, 0, 0], (2 * row.sigmoid() - 1) * 0.01)
    x0.sum().backward()
    touched = encoder.embedding_table.weight.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, True, False, True]


def test_fixed_codes_stay_out_of_checkpoints():
    assert not OneHotEncoder(num_classes=3).state_dict()


def test_scale_is_checked():
    with pytest.raises(ValueError, match='scale must be positive, got 0'):
        OneHotEncoder(num_classes=3, scale=0)
