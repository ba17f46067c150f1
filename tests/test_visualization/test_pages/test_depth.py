from types import SimpleNamespace

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmdiffseg.engine.hooks import DiffusionVisualizationHook
from mmdiffseg.visualization.pages.depth import depth_pages

SIZE = (20, 30)


def depths(low=1.0):
    return PixelData(data=torch.rand(1, *SIZE) * 5 + low)


def test_a_panel_and_a_page_for_each_step():
    image = np.random.randint(0, 255, (*SIZE, 3), dtype=np.uint8)
    sample = SegDataSample(pred_depth_map=depths())
    steps = {'1 step': depths(), '3 steps': depths()}
    film = [SegDataSample(pred_depth_map=depths()) for _ in range(3)]
    (page,) = depth_pages(image, sample, steps, [])
    assert page.shape[1] == 3 * 256 + 4 * 8

    sample.gt_depth_map = depths(low=0.0)
    sample.gt_depth_map.data[:, :5] = 0
    sample.uncertainty = PixelData(data=torch.zeros(1, *SIZE))
    page, *frames = depth_pages(image, sample, steps, film)
    assert page.shape[1] == 4 * 256 + 5 * 8
    assert len(frames) == 3 and len({frame.shape for frame in frames}) == 1


def test_the_hook_draws_what_the_model_predicts(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    meta = dict(img_path=str(path), sample_id='drive_a')
    sample = SegDataSample(metainfo=meta, pred_depth_map=depths(), gt_depth_map=depths())
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'show'))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo={}))
    runner = SimpleNamespace(model=torch.nn.Identity(), test_dataloader=loader)
    hook.before_run(runner)
    hook.after_test_iter(runner, 0, {}, [sample])
    assert (tmp_path / 'show/drive_a.png').exists()
