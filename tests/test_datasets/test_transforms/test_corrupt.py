import numpy as np
import pytest

from mmdiffseg.datasets.transforms import Corrupt
from mmdiffseg.datasets.transforms.corrupt import STRENGTHS


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def corrupt(picture, path='a/b.png', **options):
    return Corrupt(**options)(dict(img=picture.copy(), img_path=path))['img']


@pytest.mark.parametrize('kind', STRENGTHS)
def test_every_strength_is_further_from_the_picture(kind, picture):
    errors = [
        np.abs(corrupt(picture, kind=kind, strength=s).astype(float) - picture).mean()
        for s in range(1, 6)
    ]
    assert 0 < errors[0] and (np.diff(errors) > 0).all()


@pytest.mark.parametrize('kind', STRENGTHS)
def test_a_picture_is_always_corrupted_the_same_way(kind, picture):
    once, again = (corrupt(picture, kind=kind, strength=3) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.uint8 and once.shape == picture.shape


def test_noise_goes_by_the_name_of_the_picture(picture):
    options = dict(kind='noise', strength=3)
    there, elsewhere, other = (
        corrupt(picture, path, **options) for path in ('a/1.png', 'b/1.png', 'a/2.png')
    )
    np.testing.assert_array_equal(there, elsewhere)
    assert (there != other).any()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(kind='fog', strength=1), "kind must be one of .* got 'fog'"),
        (dict(kind='blur', strength=6), 'strength must be a whole number from 1 to 5, got 6'),
    ],
)
def test_unknown_corruptions_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Corrupt(**options)


def test_pictures_of_16_bits_are_refused(picture):
    with pytest.raises(ValueError, match='a/b.png is uint16'):
        corrupt(picture.astype(np.uint16), kind='blur', strength=1)
