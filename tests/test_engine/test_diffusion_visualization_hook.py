from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

from mmdiffseg.engine.hooks import DiffusionVisualizationHook
from mmdiffseg.models.segmentors import DiffusionEncoderDecoder

META = {'classes': ('ground', 'thing'), 'palette': [(10, 10, 10), (250, 0, 0)]}
SIZE = (20, 30)


class Steps(DiffusionEncoderDecoder):
    """Answers with random label maps, without a network."""

    def __init__(self):
        nn.Module.__init__(self)
        self.asked = []

    def data_preprocessor(self, data, training):
        return data

    def predict_steps(self, inputs, data_samples, steps):
        self.asked.append(tuple(steps))
        return {count: [predicted() for _ in inputs] for count in steps}

    def predict_trajectory(self, inputs, data_samples, steps):
        return [[predicted(1 + step % 2) for _ in inputs] for step in range(steps)]


def predicted(classes=2):
    labels = torch.randint(classes, (1, *SIZE))
    return SegDataSample(pred_sem_seg=PixelData(data=labels))


@pytest.fixture
def batch(tmp_path):
    samples = []
    for i in range(2):
        path = tmp_path / f'photo_{i}.jpg'
        Image.fromarray(np.random.randint(0, 255, (*SIZE, 3), dtype=np.uint8)).save(path)
        sample = predicted()
        sample.set_metainfo({'img_path': str(path)})
        sample.gt_sem_seg = PixelData(data=torch.randint(2, (1, *SIZE)))
        sample.uncertainty = PixelData(data=torch.rand(1, *SIZE))
        samples.append(sample)
    return {'inputs': [torch.zeros(3, *SIZE)] * 2, 'data_samples': samples}


def runner(model):
    added = []
    visualizer = SimpleNamespace(add_image=lambda name, image, step: added.append((name, step)))
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    return SimpleNamespace(
        model=model,
        visualizer=visualizer,
        val_dataloader=loader,
        test_dataloader=loader,
        iter=500,
        added=added,
    )


def test_testing_writes_a_panel_and_a_film_of_every_image(batch, tmp_path):
    hook = DiffusionVisualizationHook(steps=(1, 3), out_dir=str(tmp_path / 'show'), film=True)
    run = runner(Steps())
    hook.before_run(run)
    hook.after_test_iter(run, 0, batch, batch['data_samples'])
    names = sorted(path.name for path in (tmp_path / 'show').iterdir())
    assert names == ['photo_0.gif', 'photo_0.png', 'photo_1.gif', 'photo_1.png']
    with Image.open(tmp_path / 'show' / 'photo_0.gif') as film:
        assert film.n_frames == 3
    assert run.model.asked == [(1, 3)]


def test_validation_sends_the_first_image_of_every_interval_to_the_visualizer(batch):
    hook = DiffusionVisualizationHook(steps=(1,), interval=2)
    run = runner(Steps())
    for index in range(4):
        hook.after_val_iter(run, index, batch, batch['data_samples'])
    assert run.added == [('val_photo_0', 500)] * 2


def test_other_models_are_drawn_without_steps(batch, tmp_path):
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'show'))
    run = runner(nn.Identity())
    for sample in batch['data_samples']:
        del sample.uncertainty
    hook.before_run(run)
    hook.after_test_iter(run, 0, batch, batch['data_samples'])
    with Image.open(tmp_path / 'show' / 'photo_1.png') as page:
        assert page.width == 4 * 256 + 5 * 8  # image, ground truth, prediction, errors


def test_a_film_needs_a_folder():
    with pytest.raises(ValueError, match='film=True needs an out_dir'):
        DiffusionVisualizationHook(film=True)
