import numpy as np
import pytest
import torch
from PIL import Image

from mmdiffseg.apis.refine import as_labels, check_given
from mmdiffseg.diffusion import Preconditioner


@pytest.fixture
def refiner(load_untrained):
    model = load_untrained('refine/refine_tiny_mixed')
    model.model.test_cfg.update(size=32, min_area=8)
    head = model.model.decode_head
    head.denoiser.denoiser.out[2].weight.data *= 6
    return model


def square(value=1, dtype=np.uint8):
    mask = np.zeros((48, 64), dtype)
    mask[10:30, 12:40] = value
    return mask


def test_every_kind_of_mask_says_the_same(refiner, picture):
    expected = refiner.refine(picture, square()).labels
    assert set(np.unique(expected)) <= {0, 1} and expected.dtype == np.uint8
    for mask in (square(255), square(True, bool), square(0.8, np.float32), square(1, np.int64)):
        assert np.array_equal(refiner.refine(picture, mask).labels, expected)
    probabilities = np.stack([1 - square(0.8, np.float32), square(0.8, np.float32)])
    assert np.array_equal(refiner.refine(picture, probabilities).labels, expected)


def test_result_of_a_refiner(refiner, picture):
    result = refiner.refine(picture, square(), generations=3)
    assert result.probability.shape == (2, 48, 64) and result.samples.shape == (3, 48, 64)
    assert np.array_equal(result.probability[1] >= 0.5, result.labels == 1)
    assert list(result.classes) == ['background', 'object']
    assert result.panel().ndim == 3


def test_many_objects_keep_their_numbers(refiner, picture):
    mask = square(7, np.uint16)
    mask[35:46, 30:60] = 900
    result = refiner.refine(picture, mask)
    assert result.labels.dtype == np.uint16
    assert set(np.unique(result.labels)) <= {0, 7, 900}
    assert len(result.classes) == 901 and result.probability is None


def test_masks_without_anything_to_refine_come_back(refiner, picture):
    dot = np.zeros((48, 64), np.uint8)
    assert not refiner.refine(picture, dot).labels.any()
    dot[5, 5] = 1
    assert np.array_equal(refiner.refine(picture, dot).labels, dot)
    full = np.ones((48, 64), np.uint8)
    assert np.array_equal(refiner.refine(picture, full, mode='patches').labels, full)
    assert refiner.refine(picture, full).labels.shape == (48, 64)


def test_kept_pixels(refiner, picture):
    keep = np.zeros((48, 64), bool)
    keep[12:20, 5:30] = True
    result = refiner.refine(picture, square(), keep=keep)
    assert np.array_equal(result.labels[keep], square()[keep])


def test_a_large_picture_takes_patches(refiner):
    refiner.model.test_cfg.update(size=128)
    small = np.zeros((4000, 6000), bool)
    small[100:400, 200:500] = True
    calls = []
    head = refiner.model.decode_head
    denoise = head.denoise
    head.denoise = lambda z, *args: calls.append(len(z)) or denoise(z, *args)
    result = refiner.refine(np.zeros((4000, 6000, 3), np.uint8), small, steps=1)
    assert result.labels.shape == (4000, 6000)
    assert 1 < sum(calls) < 60 and max(calls) <= head.max_batch
    assert not result.labels[600:].any()


@pytest.mark.parametrize(
    'mask, sentence',
    [
        (np.zeros((64, 48), np.uint8), 'the mask is 48x64 and the picture 64x48'),
        (np.zeros((48, 64, 3), np.uint8), 'the mask is 3x64x48 and the picture 64x48'),
        (np.full((48, 64), 3.0), r'a probability in \[0, 1\], got 3 to 3'),
        (np.full((48, 64), np.nan), r'a probability in \[0, 1\]'),
        (np.full((48, 64), -1), 'a mask holds labels from 0 to 65535, got -1 to -1'),
        (np.full((48, 64), 70000), 'a mask holds labels from 0 to 65535, got 70000 to 70000'),
        (square(1, np.float32)[None], r'two classes or more, got float32 \(1, 48, 64\)'),
        (square()[None], r'two classes or more, got uint8 \(1, 48, 64\)'),
        (None, 'a mask is an array .*; got NoneType of object'),
        (square().astype(str), 'a mask is an array .*; got ndarray of <U'),
        (np.zeros(5), r'the mask is of the shape \(5,\) and the picture 64x48'),
    ],
)
def test_bad_masks(refiner, picture, mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        refiner.refine(picture, mask)


def test_a_mask_may_be_a_file(refiner, picture, tmp_path):
    Image.fromarray(square(255)).save(tmp_path / 'mask.png')
    expected = refiner.refine(picture, square()).labels
    for path in (tmp_path / 'mask.png', str(tmp_path / 'mask.png')):
        assert np.array_equal(refiner.refine(picture, path).labels, expected)
    Image.fromarray(picture).save(tmp_path / 'picture.png')
    with pytest.raises(ValueError, match='picture.png is a picture of mode RGB'):
        refiner.refine(picture, tmp_path / 'picture.png')


def test_other_bad_input(refiner, picture):
    with pytest.raises(ValueError, match='the map of kept pixels is 64x3 and the picture 64x48'):
        refiner.refine(picture, square(), keep=square(True, bool)[:3])
    with pytest.raises(ValueError, match='a mask is refined in one picture'):
        refiner.refine([picture, picture], square())


def test_a_refiner_needs_a_mask(refiner, picture):
    with pytest.raises(ValueError, match=r'call refine\(image, mask\)'):
        refiner(picture)


# models that start their chain from the mask


def test_full_strength_is_the_plain_prediction(tiny, picture):
    plain = tiny(picture)
    full = tiny.refine(picture, square(), strength=1.0)
    assert np.array_equal(full.probability, plain.probability)
    assert np.array_equal(full.samples, plain.samples)


def test_a_weak_start_reads_the_mask(tiny, picture):
    # a velocity of zero leaves the chain where it starts
    head = tiny.model.decode_head
    head.preconditioner = Preconditioner('velocity', head.noise_schedule)
    head.noise_schedule.shift = 1.0  # else a weak start is a noisy one
    for parameter in tiny.model.parameters():
        parameter.data.zero_()
    mask = square(3)
    found = tiny.refine(picture, mask, strength=0.1, steps=1)
    assert (found.labels == mask).mean() > 0.95
    assert (tiny.refine(picture, mask, strength=1.0, steps=1).labels == mask).mean() < 0.6


def test_strength_comes_from_the_model(tiny, picture):
    tiny.meta['strength'] = 0.3
    given = tiny.refine(picture, square(), strength=0.3)
    assert np.array_equal(tiny.refine(picture, square()).probability, given.probability)


def test_kept_pixels_of_a_chain(tiny, picture):
    keep = square(True, bool)
    result = tiny.refine(picture, square(2), strength=0.5, keep=keep)
    assert (result.labels[keep] == 2).all()


def test_masks_that_a_model_cannot_read(tiny, picture):
    with pytest.raises(ValueError, match='label 9, and the model knows 7 classes'):
        tiny.refine(picture, square(9), strength=0.5)
    with pytest.raises(ValueError, match='a soft mask .* and the model has 7'):
        tiny.refine(picture, square(0.5, np.float32), strength=0.5)
    with pytest.raises(ValueError, match="takes no mode: leave mode='object' out"):
        tiny.refine(picture, square(), strength=0.5, mode='object')
    with pytest.raises(ValueError, match=r'strength must lie in \(0, 1\], got 2'):
        tiny.refine(picture, square(), strength=2)


@pytest.mark.parametrize('name', ['segdiff/segdiff_shapes', 'ddp/ddp_r18_shapes'])
def test_all_kinds_of_chains(load_untrained, picture, name):
    model = load_untrained(name)
    result = model.refine(picture, square(), strength=0.2, steps=2)
    assert result.labels.shape == (48, 64)
    result = model.refine(picture, square(), strength=0.2)
    assert result.labels.shape == (48, 64)


def test_models_without_a_chain(load_untrained, picture):
    model = load_untrained('ddp/fcn_r18_shapes')
    with pytest.raises(ValueError, match='has no chain that could start from a mask'):
        model.refine(picture, square(), strength=0.5)
    model = load_untrained('stochastic/ssn_ambiguous-shapes')
    with pytest.raises(TypeError, match='SSNHead has no chain that could start'):
        model.refine(picture, square(), strength=0.5)


@pytest.fixture
def shipped(refiner, monkeypatch):
    """An untrained refiner in place of the one that comes with the package."""
    monkeypatch.setattr('mmdiffseg.apis.refine.shipped_refiner', lambda device: refiner)
    return refiner


def test_the_shipped_refiner_helps_out(load_untrained, shipped, tiny, picture):
    for model in (tiny, load_untrained('ddp/fcn_r18_shapes')):
        found = model.refine(picture, square(2), steps=1, seed=3)
        expected = shipped.refine(picture, square(2), steps=1, seed=3)
        assert np.array_equal(found.labels, expected.labels)
        assert list(found.classes) == list(model.meta['classes'])
    # labels that the model does not know keep their numbers as names
    assert tiny.refine(picture, square(9)).classes[9] == '9'


def test_a_strength_asks_for_the_chain_of_the_model(shipped, tiny, picture):
    own = tiny.refine(picture, square(2), strength=0.3)
    assert own.samples is not None
    assert np.array_equal(tiny.refine(picture, square(2), strength=0.3).labels, own.labels)


def test_strength_of_a_refiner(refiner, picture):
    calls = []
    refine = refiner.model.refine
    refiner.model.refine = lambda *args, **options: (
        calls.append(options) or refine(*args, **options)
    )
    refiner.refine(picture, square())
    refiner.meta['strength'] = 0.5
    refiner.refine(picture, square())
    refiner.refine(picture, square(), strength=1.0)
    assert [how['strength'] for how in calls] == [1.0, 0.5, 1.0]


def test_readings_of_masks():
    assert as_labels(np.array([[0, 255]])).tolist() == [[0, 1]]
    assert as_labels(np.array([[0, 255, 3]])).tolist() == [[0, 255, 3]]
    assert as_labels(np.array([[0.49, 0.5]])).tolist() == [[0, 1]]
    assert check_given([[True, False]], (1, 2)).dtype == bool
    assert torch.from_numpy(as_labels(np.array([[True]]))).dtype == torch.int64
