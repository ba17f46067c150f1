import numpy as np
import pytest
import torch
from PIL import Image

from mmdiffseg.models.referring.heat_map import picture_heat, square_image


@pytest.mark.parametrize(('height', 'width'), [(30, 64), (64, 30), (31, 64)])
def test_image_on_its_square(height, width):
    image = np.full((height, width, 3), 255, dtype=np.uint8)
    square = square_image(image, 64)[0]  # as large as the longer side: nothing is resized
    top, left = (64 - height) // 2, (64 - width) // 2
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[top : top + height, left : left + width] = True
    assert (square[:, inside] == 1).all() and (square[:, ~inside] == -1).all()


def test_released_heat():
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    heat = picture_heat(maps, 21, 32)
    mean = np.mean([(m - m.min()) / (m.max() - m.min()) for m in maps.numpy()], axis=0)
    grey = Image.fromarray((mean * 255).astype(np.uint8)).resize((32, 32), Image.LANCZOS)
    crop = (np.asarray(grey) / 255)[5:26]
    expected = (crop - crop.min()) / (crop.max() - crop.min() + 1e-8)
    np.testing.assert_allclose(heat.numpy(), expected, atol=1e-12)
    assert heat.dtype == torch.float64


@pytest.mark.parametrize('resize', ['lanczos_u8', 'bilinear'])
@pytest.mark.parametrize(('height', 'width'), [(20, 48), (48, 20)])
def test_heat_lies_where_the_map_is_high(resize, height, width):
    maps = torch.zeros(2, 12, 12)
    maps[:, 6, 3] = torch.tensor([1.0, 3.0])  # at a quarter of the square's width, below its middle
    heat = picture_heat(maps, height, width, resize=resize)
    assert heat.shape == (height, width) and heat.min() == 0 and 0.999 < heat.max() <= 1
    y, x = divmod(int(heat.argmax()), width)
    assert abs(y + (48 - height) // 2 - 26) <= 2 and abs(x + (48 - width) // 2 - 14) <= 2
