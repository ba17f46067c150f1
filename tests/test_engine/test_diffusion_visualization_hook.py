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
from mmdiffseg.visualization.pages.labels import draw_frame, draw_panel

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


def test_masks_are_shown_as_they_are_denoised():
    frame = predicted()
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    assert list(draw_frame(image, frame, 'step 1', META)) == ['image', 'step 1']
    probs = torch.linspace(-1, 2, 600).view(1, *SIZE)
    frame.noisy_map = frame.seg_logits = PixelData(data=torch.cat([1 - probs, probs]))
    pictures = draw_frame(image, frame, 'step 1', META)
    assert list(pictures) == ['image', 'noisy mask', 'its estimate', 'step 1']
    assert pictures['noisy mask'][0, 0].tolist() == [0, 0, 0]
    assert pictures['noisy mask'][-1, -1].tolist() == [255, 255, 255]
    assert pictures['noisy mask'][10, 0].tolist() == [128, 128, 128]


def test_objects_of_one_image_get_pictures_of_their_own(tmp_path, batch):
    for index, sample in enumerate(batch['data_samples']):
        sample.set_metainfo(
            dict(
                img_path=batch['data_samples'][0].img_path,
                sample_id=f'object_{index}',
                window=(2, 3, 12, 9),
            )
        )
        for name in ('pred_sem_seg', 'gt_sem_seg', 'uncertainty'):
            sample.set_data({name: PixelData(data=sample.get(name).data[:, 3:9, 2:12])})
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'pictures'))
    hook.before_run(None)
    plain = nn.Module()  # no chains of whole images beside the crops
    hook.after_test_iter(runner(plain), 0, batch, batch['data_samples'])
    names = sorted(path.name for path in (tmp_path / 'pictures').iterdir())
    assert names == ['object_0.png', 'object_1.png']


def test_a_probability_is_part_of_the_panel(batch):
    image, sample = np.zeros((*SIZE, 3), dtype=np.uint8), batch['data_samples'][0]
    before = draw_panel(image, sample, {}, META, columns=8)
    sample.seg_prob = PixelData(data=torch.rand(1, *SIZE))
    after = draw_panel(image, sample, {}, META, columns=8)
    assert after.shape[1] > before.shape[1]


def test_samples_are_set_beside_the_raters(batch, tmp_path):
    for sample in batch['data_samples']:
        sample.gt_raters = PixelData(data=torch.randint(2, (2, *SIZE)))
        sample.samples = PixelData(data=torch.randint(2, (3, *SIZE)))
        sample.set_metainfo({'raters': ['anna', 'ben']})
    run = runner(Steps())
    hook = DiffusionVisualizationHook(out_dir=str(tmp_path / 'show'))
    hook.before_run(run)
    hook.after_test_iter(run, 0, batch, batch['data_samples'])
    pages = sorted((tmp_path / 'show').iterdir())
    assert [page.name for page in pages] == ['photo_0.png', 'photo_1.png']
    with Image.open(pages[0]) as page:  # pictures in two rows, and bars below them
        assert page.height > 260 + 2 * SIZE[0]
    assert not run.model.asked
