import pytest
import torch

from mmdiffseg.diffusion import KroneckerEncoder, PaletteEncoder
from mmdiffseg.registry import LABEL_ENCODERS


def smallest_distance(encoder):
    codes = encoder.codebook()[: encoder.num_classes].double()
    return torch.pdist(codes).min().item()


def test_palette_counts_in_colours():
    encoder = PaletteEncoder(num_classes=216)
    colors = ((encoder.codebook() + 1) * 127.5).round().int().tolist()
    assert colors[:8] == [
        [0, 0, 0],
        [0, 0, 50],
        [0, 0, 100],
        [0, 0, 150],
        [0, 0, 200],
        [0, 0, 250],
        [0, 50, 0],
        [0, 50, 50],
    ]
    assert colors[36] == [50, 0, 0] and colors[215] == [250, 250, 250]
    assert colors[216] == [255, 255, 255]  # ignored
    assert smallest_distance(encoder) == pytest.approx(50 / 127.5)


# recorded distances, at full range
@pytest.mark.parametrize(
    'classes, distance',
    [(7, 0.860), (12, 0.792), (19, 0.590), (21, 0.587), (150, 0.154), (171, 0.153)],
)
def test_kronecker_codes_lie_apart(classes, distance):
    encoder = KroneckerEncoder(num_classes=classes)
    assert smallest_distance(encoder) == pytest.approx(distance, abs=5e-4)
    codes = encoder.codebook()
    assert codes[:classes].amin(dim=0).tolist() == [-1] * 3
    assert codes[:classes].amax(dim=0).tolist() == [1] * 3
    assert codes[classes].tolist() == [0] * 3  # ignored


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(type='PaletteEncoder', num_classes=217), 'levels=6 makes 216 colours for 217'),
        (dict(type='PaletteEncoder', num_classes=7, stride=60), 'brightness of 300'),
        (dict(type='PaletteEncoder', num_classes=7, stride=0), 'brightness of 0'),
        (dict(type='KroneckerEncoder', num_classes=1), 'must be at least 2, got 1'),
    ],
)
def test_what_makes_no_codes_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LABEL_ENCODERS.build(options)
