"""Exported models against eager ones; noise, loops and pictures without torch."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.structures import SegDataSample

from mmdiffseg import cli
from mmdiffseg.apis.export import export
from mmdiffseg.apis.pictures import Picture
from mmdiffseg.apis.web.answers import describe, time_limit
from mmdiffseg.apis.web.questions import Limits
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import MODELS
from mmdiffseg.runtime import load

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

CCDM = dict(
    type='mmdiffseg.CCDMUNet', channel_mult=(1, 1), num_res_blocks=1, attention_downsample=()
)
STOCHASTIC = dict(in_channels=3, num_classes=3, generations=3, denoiser=CCDM)
STEPS = dict(type='mmdiffseg.CosineBetas', num_timesteps=20)
DDP = dict(
    in_channels=3,
    channels=16,
    in_index=0,
    generations=2,
    steps=2,
    denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=4),
)
FCN = dict(type='mmseg.FCNHead', in_index=0, channels=8, num_convs=1, num_classes=4)
HEADS = {
    'categorical': dict(
        STOCHASTIC,
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(type='mmdiffseg.UniformDiffusion', schedule=STEPS),
        diffusion_sampler=dict(type='mmdiffseg.CategoricalSampler', final='sample'),
        steps=3,
    ),
    'common': dict(
        STOCHASTIC,
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(type='mmdiffseg.UniformDiffusion', schedule=STEPS, skip='ccdm'),
        diffusion_sampler=dict(
            type='mmdiffseg.CategoricalSampler', coupling='common', final='sample'
        ),
        steps=3,
    ),
    'absorbing': dict(
        STOCHASTIC,
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(type='mmdiffseg.AbsorbingDiffusion', schedule=STEPS),
        steps=3,
    ),
    'flow': dict(STOCHASTIC, type='mmdiffseg.EncodedMapHead', steps=3, max_batch=2),
    'gaussian': dict(
        STOCHASTIC,
        type='mmdiffseg.EncodedMapHead',
        noise_schedule=STEPS,
        prediction_type='v',
        diffusion_sampler=dict(type='mmdiffseg.DDPMSampler'),
        steps=3,
    ),
    'ssn': dict(STOCHASTIC, type='mmdiffseg.SSNHead', rank=2),
    'pixelwise': dict(STOCHASTIC, type='mmdiffseg.PixelwiseHead'),
    'pixelwise-common': dict(STOCHASTIC, type='mmdiffseg.PixelwiseHead', coupling='common'),
    'pixelwise-softmax': dict(
        STOCHASTIC, type='mmdiffseg.PixelwiseHead', coupling=None, generations=1
    ),
    'mc-dropout': dict(STOCHASTIC, type='mmdiffseg.MCDropoutHead'),
    'segdiff': dict(
        type='mmdiffseg.SegDiffHead',
        in_channels=32,
        generations=2,
        steps=3,
        prediction_type='v',  # at the noisiest time eps would make rounding a hundred times larger
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=32,
            channel_mult=(1, 1),
            num_res_blocks=1,
            attention_downsample=(),
        ),
    ),
    'ddp': dict(DDP, type='mmdiffseg.DDPHead', num_classes=5),
    'ddp-accumulated': dict(DDP, type='mmdiffseg.DDPHead', num_classes=5, accumulation='prob'),
    'depth': dict(DDP, type='mmdiffseg.DDPDepthHead', max_depth=10.0),
    'plain': dict(FCN, in_channels=3),
    'swin': dict(FCN, in_channels=32),
}
BACKBONES = dict(
    segdiff=dict(type='mmdiffseg.RRDBNet', out_channels=32, num_blocks=1),
    swin=dict(
        type='mmdiffseg.SwinTransformer',
        embed_dims=4,
        depths=(1, 1, 1, 2),
        num_heads=(1, 1, 1, 1),
        out_indices=(3,),
    ),
)
#: the others run with the recipes: an export takes seconds
FAST = ('categorical', 'common', 'flow', 'segdiff', 'ddp', 'plain')
HOSTS = dict(
    segdiff='mmdiffseg.SegDiff',
    depth='mmdiffseg.DiffusionDepthEstimator',
    plain='mmseg.EncoderDecoder',
    swin='mmseg.EncoderDecoder',
)
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def build(name, **options):
    """A tiny model with its config and meta, as a Segmenter holds them."""
    head = {**HEADS[name], **options}
    host = HOSTS.get(name)
    if host is None:
        host = 'DiffusionEncoderDecoder' if 'DDP' in head['type'] else 'StochasticSegmentor'
        host = f'mmdiffseg.{host}'
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type=host,
            data_preprocessor=dict(
                type='mmseg.SegDataPreProcessor',
                mean=[120.0, 110, 100],
                std=[60.0, 55, 50],
                bgr_to_rgb=True,
                test_cfg=dict(size_divisor=8),
            ),
            backbone=BACKBONES.get(name, dict(type='mmdiffseg.IdentityBackbone')),
            decode_head=head,
            test_cfg=dict(mode='whole'),
        )
    ).eval()
    for parameter in model.decode_head.parameters():  # zeros at the start say nothing
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    classes = [f'class {i}' for i in range(model.decode_head.num_classes)]
    meta = dict(classes=classes, palette=[[i, 40 * i, 9] for i in range(len(classes))])
    config = Config(dict(test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))
    return SimpleNamespace(model=model, config=config, meta=meta)


def picture(height, width, name='a.png'):
    generator = np.random.default_rng([height, width])
    pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(pixels=pixels, name=name)


@torch.no_grad()
def eager(segmenter, picture):
    """What the model itself says, by the names of Result."""
    size = picture.pixels.shape[:2]
    sample = SegDataSample(
        metainfo=dict(img_path=picture.name, ori_shape=size, img_shape=size, pad_shape=size)
    )
    image = torch.from_numpy(picture.pixels[..., ::-1].copy()).permute(2, 0, 1)
    model = segmenter.model
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]))
    (said,) = model.predict(**data)
    if 'pred_depth_map' in said:
        return dict(depth=said.pred_depth_map.data[0].numpy())
    logits = said.seg_logits.data
    head = segmenter.model.decode_head
    if type(head).__name__ in ('DDPHead', 'FCNHead') and not getattr(head, 'accumulation', False):
        logits = logits.softmax(dim=0)
    known = dict(labels=said.pred_sem_seg.data[0].numpy(), probability=logits.numpy())
    if 'samples' in said:
        known['samples'] = said.samples.data.numpy()
    return known


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Exports each model once."""
    made = {}

    def get(name):
        if name not in made:
            segmenter = build(name)
            folder = tmp_path_factory.mktemp(name) / 'model'
            export(segmenter, folder, steps=[1])
            made[name] = segmenter, folder
        return made[name]

    return get


@pytest.mark.parametrize(
    'name',
    [name if name in FAST else pytest.param(name, marks=pytest.mark.recipe) for name in HEADS],
)
def test_a_runtime_says_what_the_model_says(exported, name):
    segmenter, folder = exported(name)
    runtime = load(folder, threads=1)
    for size in ((33, 50), (64, 40)):
        shown = picture(*size)
        found = runtime.predict(shown, **runtime.settings)
        for key, expected in eager(segmenter, shown).items():
            assert found[key].shape == expected.shape
            if key in ('labels', 'samples'):
                assert (found[key] == expected).mean() > 0.999
            else:
                np.testing.assert_allclose(found[key], expected, atol=1e-4)
        if 'uncertainty' in found:
            assert found['uncertainty'].shape == size


@pytest.mark.parametrize('final', ['sample', 'argmax', 'probs'])
def test_a_number_that_pixels_share_is_drawn_by_the_graph(exported, final):
    segmenter, folder = exported('common')
    model, runtime = segmenter.model, load(folder, threads=1)
    assert runtime.loop['coupling'] == 'common'
    # where a chain ends is no part of the graph
    model.decode_head.diffusion_sampler.final = runtime.loop['final'] = final
    rows, generator = 2 * model.decode_head.generations, torch.Generator().manual_seed(0)
    draws = Draws(generator=generator)
    recorded = {name: draws.gumbel(name, (rows, 3, 32, 48)) for name in ('start', 'step0', 'step1')}
    for name in ('step0.clean', 'step1.clean', 'step2.clean'):
        recorded[name] = draws.uniform(name, (rows, 1, 1))
    shown = [picture(32, 48, name=name) for name in 'ab']
    images = [torch.from_numpy(one.pixels[..., ::-1].copy()).permute(2, 0, 1) for one in shown]
    samples = [SegDataSample(metainfo=dict(img_shape=(32, 48), ori_shape=(32, 48)))] * 2
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples))
    expected = model.predict(data['inputs'], draws=Draws(recorded))
    for number, said in enumerate(expected):
        given = {name: values[number::2].numpy() for name, values in recorded.items()}
        found = runtime.predict(shown[number], **runtime.settings, given=given)
        assert len(np.unique(found['samples'])) == 3
        assert (found['samples'] == said.samples.data.numpy()).mean() > 0.999
        assert (found['labels'] == said.pred_sem_seg.data[0].numpy()).mean() > 0.999
        errors = np.abs(found['probability'] - said.seg_logits.data.numpy())
        assert (errors > 1e-4).mean() < 1e-3


def test_a_runtime_needs_no_torch(exported, tmp_path):
    segmenter, folder = exported('flow')
    shown = picture(40, 48, name='0')
    np.save(tmp_path / 'picture.npy', shown.pixels)
    code = (
        'import sys, numpy as np\n'
        'from mmdiffseg.runtime import load\n'
        f'result = load({str(folder)!r})(np.load({str(tmp_path / "picture.npy")!r}))\n'
        "assert 'torch' not in sys.modules and 'mmengine' not in sys.modules\n"
        f'np.save({str(tmp_path / "samples.npy")!r}, result.samples)\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
    assert (np.load(tmp_path / 'samples.npy') == eager(segmenter, shown)['samples']).mean() > 0.999


def test_loop_holds_no_weights(exported):
    _, folder = exported('categorical')
    loop = json.loads((folder / 'loop.json').read_text())
    assert sorted(loop['chains']) == ['1', '3']
    assert [len(rows) for rows in loop['chains'].values()] == [1, 3]
    assert (folder / 'loop.json').stat().st_size < 20_000


@pytest.mark.parametrize(
    'format, library', [('torch', 'torch'), ('openvino', 'openvino')], ids=['torch', 'openvino']
)
@pytest.mark.parametrize(
    'name',
    ['plain', *(pytest.param(name, marks=pytest.mark.recipe) for name in ('flow', 'common'))],
)
def test_other_formats_say_the_same(name, format, library, tmp_path):
    pytest.importorskip(library)
    segmenter, shown = build(name), picture(33, 50)
    runtime = load(export(segmenter, tmp_path / 'model', format=format), threads=1)
    found = runtime.predict(shown, **runtime.settings)
    expected = eager(segmenter, shown)
    errors = np.abs(found['probability'] - expected['probability'])
    assert (errors > 1e-4).mean() <= (1e-3 if name == 'common' else 0)  # rounding may tip a draw
    assert (found['labels'] == expected['labels']).mean() > 0.999


def test_weights_in_sixteen_bits(tmp_path):
    segmenter, shown = build('plain', channels=128), picture(33, 50)
    segmenter.meta['guarantee'] = dict(kind='threshold')
    folder = export(segmenter, tmp_path / 'model', weights='fp16')
    runtime = load(folder, threads=1)
    found = runtime.predict(shown, **runtime.settings)
    expected = eager(segmenter, shown)
    assert 1e-6 < np.abs(found['probability'] - expected['probability']).max() < 1e-3
    assert 'guarantee' not in runtime.meta  # it was calibrated with other weights


def test_a_fixed_size_is_kept(tmp_path):
    runtime = load(export(build('plain'), tmp_path / 'model', size=(40, 48)))
    assert runtime(picture(33, 30).pixels).labels.shape == (33, 30)
    with pytest.raises(ValueError, match='0 has 50 x 41 pixels, and the model was exported for at'):
        runtime(picture(41, 50).pixels)


def test_settings_that_were_not_exported_are_refused(exported):
    runtime = load(exported('flow')[1])
    with pytest.raises(ValueError, match=r'exported for 1, 3 steps, got 2: .*steps=\[2\]'):
        runtime(picture(16, 16).pixels, steps=2)
    with pytest.raises(ValueError, match='generations must be a whole number from 1, got 0'):
        runtime(picture(16, 16).pixels, generations=0)
    with pytest.raises(ValueError, match='takes no text: leave text out'):
        runtime(picture(16, 16).pixels, text='the cat')


def test_results_of_runtime_and_names_of_settings(exported):
    runtime = load(exported('flow')[1])
    result, other = runtime([picture(17, 21).pixels] * 2, steps=1, generations=2, seed=3)
    assert result.samples.shape == (2, 17, 21)
    assert (result.name, other.name) == ('0', '1')
    assert not np.array_equal(result.samples, other.samples)  # noise goes by the name
    assert runtime.settings == dict(steps=3, generations=3, seed=0)


@pytest.mark.parametrize(
    'options, error, message',
    [
        (dict(format='tflite'), ValueError, "format must be one of .* got 'tflite'"),
        (dict(precision='int4'), ValueError, "precision must be 'fp32' or 'int8', got 'int4'"),
        (dict(precision='int8'), ValueError, 'calibration=FOLDER'),
        (dict(weights='bf16'), ValueError, "weights must be 'fp32' or 'fp16', got 'bf16'"),
        (dict(weights='fp16', format='torch'), ValueError, "leave it out with format='torch'"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        export(build('plain'), tmp_path / 'model', **options)
    assert not (tmp_path / 'model').exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty'):
        export(build('plain'), tmp_path)


def test_a_pipeline_that_cannot_be_repeated_is_refused(tmp_path):
    segmenter = build('plain')
    flip = dict(type='RandomFlip', prob=1.0)
    pipeline = [PIPELINE[0], flip, PIPELINE[1]]
    segmenter.config = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    with pytest.raises(ValueError, match='RandomFlip.*which a runtime cannot repeat'):
        export(segmenter, tmp_path / 'model')


def test_models_of_other_kinds_are_refused(tmp_path):
    segmenter = build('plain')

    class Cascade(type(segmenter.model)):
        pass

    segmenter.model.__class__ = Cascade
    with pytest.raises(TypeError, match='Cascade cannot be exported: what can is'):
        export(segmenter, tmp_path / 'model')


def test_int8_stays_near(tmp_path):
    segmenter = build('plain')
    shown = [picture(40, 48, name=str(i)) for i in range(3)]

    def prepare(picture):
        image = torch.from_numpy(picture.pixels[..., ::-1].copy()).permute(2, 0, 1)
        return dict(inputs=image, data_samples=SegDataSample())

    segmenter.task = SimpleNamespace(prepare=prepare)
    folder = export(
        segmenter, tmp_path / 'model', precision='int8', calibration=[p.pixels for p in shown]
    )
    runtime = load(folder, threads=1)
    found = runtime.predict(shown[0], **runtime.settings)
    expected = eager(segmenter, shown[0])['probability']
    assert 1e-6 < np.abs(found['probability'] - expected).max() < 0.1


def test_an_exported_model_can_be_served(exported, monkeypatch):
    folder = exported('flow')[1]
    served = []
    monkeypatch.setattr('mmdiffseg.apis.serve.serve', lambda model, **where: served.append(model))
    args = cli.parse_args(['serve', str(folder)])
    args.run(args)
    (runtime,) = served
    told = describe(runtime, Limits())
    assert (told['asks'], told['films'], told['refines']) == (None, False, False)
    assert told['settings'] == dict(steps=3, generations=3, seed=0)
    with pytest.raises(TimeoutError, match='more than 0 s'), time_limit(0.0, runtime):
        runtime(picture(16, 16).pixels)
    runtime(picture(16, 16).pixels)
    args = cli.parse_args(['serve', str(folder), '--device', 'cuda'])
    with pytest.raises(ValueError, match='is an exported model: leave --device out'):
        args.run(args)
