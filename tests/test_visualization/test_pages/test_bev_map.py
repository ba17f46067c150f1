from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmdiffseg.engine.hooks import DiffusionVisualizationHook
from mmdiffseg.visualization import layers_picture

META = dict(classes=('road', 'walkway'), palette=[[200, 0, 0], [0, 100, 0]])


def test_overlapping_layers_mix_their_colours():
    layers = np.array([[[0.0, 1.0, 1.0, 0.5]], [[0.0, 0.0, 1.0, 0.0]]])
    picture = layers_picture(layers, META['palette'])
    expected = [[255, 255, 255], [200, 0, 0], [100, 50, 0], [227, 127, 127]]
    assert picture[0].tolist() == expected and picture.dtype == np.uint8


@pytest.mark.parametrize('file, rows', [('a.png', 2), ('a.npy', 1)])  # five pictures, or four
def test_the_hook_draws_maps_of_pictures_and_of_features(file, rows, tmp_path):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / 'a.png')
    masks = torch.randint(2, (2, 10, 15))
    sample = SegDataSample(
        metainfo=dict(img_path=str(tmp_path / file)),
        map_prob=PixelData(data=torch.rand(2, 10, 15)),
        gt_map=PixelData(data=masks),
    )
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'show'))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    runner = SimpleNamespace(model=torch.nn.Identity(), test_dataloader=loader)
    hook.before_run(runner)
    hook.after_test_iter(runner, 0, {}, [sample])
    page = np.asarray(Image.open(tmp_path / 'show/a.png'))
    assert page.shape[1] == 4 * 256 + 5 * 8
    assert page.shape[0] // 190 == rows
