import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmdiffseg.datasets.transforms.load_instance_union import _run_lengths, compress


@pytest.fixture(params=range(4))
def mask(request):
    rng = np.random.default_rng(request.param)
    # long and short runs, of which the first may be empty
    return np.asfortranarray(rng.random((37, 53)) < (0, 0.01, 0.5, 1)[request.param], np.uint8)


def runs_of(mask):
    pixels = mask.ravel(order='F')
    edges = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *edges, pixels.size]).tolist()
    return [0, *runs] if pixels[0] else runs


def test_compressed_run_lengths_are_read(mask):
    assert _run_lengths(coco_mask.encode(mask)['counts']) == runs_of(mask)
    assert _run_lengths(coco_mask.encode(mask)['counts'].decode()) == runs_of(mask)


def test_sound_masks_pass(mask):
    compressed = coco_mask.encode(mask)
    for segmentation in (compressed, dict(counts=runs_of(mask), size=mask.shape)):
        assert (coco_mask.decode(compress(segmentation, *mask.shape)) == mask).all()


def test_run_lengths_of_another_size_are_refused(mask):
    compressed = coco_mask.encode(mask)
    for segmentation in (compressed, dict(counts=runs_of(mask), size=mask.shape)):
        with pytest.raises(ValueError, match='add up to 1961 pixels, its image has 53x40'):
            compress(segmentation, 40, 53)
    with pytest.raises(ValueError, match='add up to 3 pixels'):
        compress(dict(counts=[1, 2], size=mask.shape), *mask.shape)
