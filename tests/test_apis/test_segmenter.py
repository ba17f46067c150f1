from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmdiffseg.apis.load import load
from mmdiffseg.apis.pictures import Picture


def test_one_picture_gives_one_result(tiny, picture, tmp_path):
    result = tiny(picture)
    assert result.labels.shape == (48, 64) and result.labels.dtype == np.uint8
    assert result.samples.shape == (2, 48, 64)
    assert result.probability.shape == (7, 48, 64) and result.probability.dtype == np.float32
    assert np.array_equal(result.probability.argmax(axis=0), result.labels)
    assert 0 <= result.uncertainty.min() and result.uncertainty.max() <= 1
    assert np.array_equal(result.image, picture)
    Image.fromarray(picture).save(tmp_path / 'a.png')
    assert tiny(tmp_path / 'a.png').path == tmp_path / 'a.png'


def test_results_depend_on_name_and_seed_but_not_on_the_batch(tiny, picture, tmp_path):
    for name in 'abc':
        Image.fromarray(picture).save(tmp_path / f'{name}.png')
    alone = tiny(tmp_path / 'b.png').probability
    for options in (dict(), dict(batch_size=2), dict(batch_size=3)):
        together = tiny(tmp_path, **options)
        assert [result.name for result in together] == ['a.png', 'b.png', 'c.png']
        np.testing.assert_allclose(together[1].probability, alone, atol=1e-4)
    assert not np.allclose(together[0].probability, alone, atol=1e-2)
    assert not np.allclose(tiny(tmp_path / 'b.png', seed=1).probability, alone, atol=1e-2)
    assert np.array_equal(tiny(tmp_path / 'b.png', seed=0).probability, alone)


def test_pictures_of_other_sizes_are_never_padded_together(tiny, picture, monkeypatch):
    sizes, predict = [], tiny.task.predict
    monkeypatch.setattr(
        tiny.task, 'predict', lambda items, q: sizes.append(len(items)) or predict(items, q)
    )
    small = picture[:40]
    results = tiny([picture, picture, small, small, small, picture], batch_size=2)
    assert sizes == [2, 2, 1, 1]
    assert [len(r.labels) for r in results] == [48, 48, 40, 40, 40, 48]


def test_settings_hold_for_the_call(tiny, picture):
    before, calls = tiny.settings, []
    head = tiny.model.decode_head
    denoise = head.denoise
    head.denoise = lambda z, *args: calls.append(len(z)) or denoise(z, *args)
    result = tiny(picture, steps=3, generations=5, seed=4)
    assert calls == [5, 5, 5] and len(result.samples) == 5
    assert tiny.settings == before == dict(steps=2, generations=2, seed=0)
    with pytest.raises(ValueError, match='got uint8'):
        tiny(picture[None], steps=3)
    assert tiny.settings == before


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(steps=0), 'steps must be a whole number from 1, got 0'),
        (dict(generations=2.0), 'generations must be a whole number from 1, got 2.0'),
        (dict(seed=-1), 'seed must be a whole number from 0, got -1'),
        (dict(batch_size=0), 'batch_size must be a whole number from 1, got 0'),
        (dict(text='a cell'), 'StochasticSegmentor takes no text: leave text out'),
        (dict(examples=[1]), 'StochasticSegmentor takes no examples'),
    ],
)
def test_impossible_settings_are_refused_before_any_picture(tiny, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        tiny.iterate('nowhere.png', **options)


def test_a_plain_model_has_no_steps(load_untrained, picture):
    model = load_untrained('dformer/fcn_r18_shapes-backbone')
    assert model.settings == {}
    with pytest.raises(ValueError, match='EncoderDecoder has no steps to set: leave steps out'):
        model(picture, steps=3)
    assert np.array_equal(model(picture, seed=3).labels, model(picture).labels)


def test_pictures_are_read_when_their_turn_comes(tiny, picture, tmp_path):
    for number in range(3):
        Image.fromarray(picture).save(tmp_path / f'{number}.png')
    results = tiny.iterate([tmp_path / f'{number}.png' for number in range(3)])
    assert next(results).name == '0.png'
    (tmp_path / '2.png').write_bytes(b'')
    assert next(results).name == '1.png'
    with pytest.raises(ValueError, match='2.png cannot be read'):
        next(results)


def test_bad_pictures_are_told_and_passed(tiny, picture, tmp_path):
    for number in range(4):
        Image.fromarray(picture).save(tmp_path / f'{number}.png')
    (tmp_path / '1.png').write_bytes(b'text')
    bad = {}
    names = [r.name for r in tiny.iterate(tmp_path, on_error=bad.__setitem__, batch_size=2)]
    assert names == ['0.png', '2.png', '3.png'] and list(bad) == ['1.png']
    assert 'cannot be read as a picture' in str(bad['1.png'])


def test_a_picture_that_the_model_refuses_does_not_take_its_batch_along(tiny, picture, monkeypatch):
    predict = tiny.task.predict

    def refuse(items, question):
        if any('1' in item['data_samples'].img_path for item in items):
            raise ValueError('too small')
        return predict(items, question)

    monkeypatch.setattr(tiny.task, 'predict', refuse)
    bad = {}
    found = tiny.iterate([picture] * 3, batch_size=3, on_error=bad.__setitem__)
    assert [result.name for result in found] == ['0', '2']
    assert str(bad['1']) == 'too small'


def test_the_test_pipeline_prepares_the_pictures(load_untrained, picture):
    model = load_untrained('segdiff/segdiff_gsi_road')  # halves them
    item = model.task.prepare(Picture(pixels=picture, name='a'))
    assert item['inputs'].shape == (3, 24, 32)
    assert model(picture, steps=1, generations=1).labels.shape == (48, 64)


def test_results_are_those_of_a_test_run(load_untrained, shapes_root):
    from mmengine.registry import DATASETS, init_default_scope

    model = load_untrained('ddp/ddp_r18_shapes')
    init_default_scope('mmseg')
    config = model.config.test_dataloader.dataset
    data = DATASETS.build({**config, 'data_root': str(shapes_root)})[0]
    with torch.no_grad():
        (sample,) = model.model.test_step({key: [value] for key, value in data.items()})
    result = model(sample.img_path)
    assert np.array_equal(result.labels, sample.pred_sem_seg.data[0].numpy())
    expected = sample.seg_logits.data.softmax(dim=0).numpy()
    np.testing.assert_allclose(result.probability, expected, atol=1e-6)


def test_a_binary_sigmoid_head_gives_two_classes(picture):
    config = Config(
        dict(
            default_scope='mmseg',
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3),
                backbone=dict(type='mmdiffseg.IdentityBackbone'),
                decode_head=dict(
                    type='FCNHead',
                    in_channels=3,
                    in_index=0,
                    channels=4,
                    num_convs=1,
                    num_classes=2,
                    out_channels=1,
                    threshold=0.4,
                    norm_cfg=dict(type='BN'),
                    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
                ),
                test_cfg=dict(mode='whole'),
            ),
        )
    )
    with pytest.warns(UserWarning, match='not trained, so its results mean nothing'):
        model = load(config=config, device='cpu')
    result = model(picture)
    assert result.probability.shape == (2, 48, 64) and result.classes == ['class 0', 'class 1']
    np.testing.assert_allclose(result.probability.sum(axis=0), 1, atol=1e-6)
    assert np.array_equal(result.labels, result.probability[1] > 0.4)


def test_a_map_of_features_is_no_picture(load_untrained):
    with pytest.raises(ValueError, match='begins with mmdiffseg.LoadBEVFeature, so this model'):
        load_untrained('ddp/ddp_bevfusion-camera_nuscenes-map')


def test_a_video_is_segmented_frame_by_frame(tiny, picture, tmp_path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for _ in range(2):
        writer.write(picture)
    writer.release()
    assert [result.name for result in tiny(path)] == ['clip_000000', 'clip_000001']


def test_precision(tiny, load_untrained, picture):
    with pytest.raises(ValueError, match="precision must be one of .*, got 'half'"):
        load_untrained('dformer/fcn_r18_shapes-backbone', precision='half')
    model = load_untrained('dformer/fcn_r18_shapes-backbone')
    cast = load_untrained('dformer/fcn_r18_shapes-backbone', precision='bf16')
    exact, rough = (m(picture).probability for m in (model, cast))
    assert 0 < np.abs(exact - rough).max() < 0.1 and rough.dtype == np.float32


def test_the_guarantee_of_a_model_is_applied(tiny, picture):
    assert tiny(picture).label_set is None
    tiny.meta['guarantee'] = dict(
        kind='set', risk='missed', source='probability', value=0.6, settings=dict(generations=2)
    )
    result = tiny(picture)
    admitted = result.label_set.sum(axis=0)
    assert result.label_set.shape == result.probability.shape
    assert admitted.min() == 1 and admitted.max() > 1
    assert np.array_equal(result.label_set.any(axis=0), np.ones((48, 64), bool))
    assert np.take_along_axis(result.label_set, result.labels[None].astype(int), axis=0).all()
    # nothing is promised for other settings
    assert tiny(picture, generations=1).label_set is None


def test_two_classes_have_an_inner_and_an_outer_mask(load_untrained, picture):
    model = load_untrained('segdiff/segdiff_tiny_dsb2018')
    model.meta['guarantee'] = dict(
        kind='threshold', risk='iou', source='probability', value=0.6, settings={}
    )
    result = model(picture, steps=1, generations=1)
    foreground = result.probability[1].astype(np.float64)
    assert np.array_equal(result.inner, foreground > 0.6)
    assert np.array_equal(result.outer, foreground >= 0.4)


def test_two_callers_at_once_keep_their_own_settings(tiny, picture):
    with ThreadPoolExecutor(2) as pool:
        counts = range(1, 7)
        results = pool.map(lambda g: tiny([picture] * 2, generations=g), counts)
        assert [[len(r.samples) for r in both] for both in results] == [[g, g] for g in counts]
    assert tiny.settings['generations'] == 2
