import numpy as np
import torch
from PIL import Image
from torchvision.transforms import ColorJitter

from mmdiffseg.registry import TRANSFORMS

STRENGTHS = dict(brightness=0.6, contrast=0.5, saturation=0.4, hue=0.025)


def test_is_torchvisions_on_the_rgb_picture():
    jitter = TRANSFORMS.build(dict(type='mmdiffseg.ColorJitter', **STRENGTHS))
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    for seed in range(4):
        torch.manual_seed(seed)
        expected = np.array(ColorJitter(**STRENGTHS)(Image.fromarray(rgb)))
        torch.manual_seed(seed)
        results = jitter(dict(img=rgb[..., ::-1]))
        np.testing.assert_array_equal(results['img'][..., ::-1], expected)
        assert (expected != rgb).any()


def test_no_strength_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    results = TRANSFORMS.build(dict(type='mmdiffseg.ColorJitter'))(dict(img=image))
    np.testing.assert_array_equal(results['img'], image)
