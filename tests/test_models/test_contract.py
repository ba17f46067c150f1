"""What every diffusion head promises, whatever its method."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws, Start
from mmdiffseg.models.segdiff import SegDiffHead
from mmdiffseg.models.stochastic.map_head import StochasticMapHead
from mmdiffseg.registry import MODELS

DDP = dict(
    in_channels=16,
    channels=16,
    denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=4),
    diffusion_sampler=dict(type='DDIMSampler', time_difference=1, eta=0.5),
)
SEGDIFF = dict(
    type='mmdiffseg.SegDiffHead',
    in_channels=32,
    generations=2,
    denoiser=dict(
        type='mmdiffseg.SegDiffUNet',
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_downsample=(2,),
    ),
)
STOCHASTIC = dict(
    in_channels=3,
    num_classes=3,
    generations=2,
    denoiser=dict(
        type='mmdiffseg.CCDMUNet',
        channel_mult=(1, 1),
        num_res_blocks=1,
        attention_downsample=(2,),
    ),
)
CATEGORICAL = dict(
    STOCHASTIC,
    type='mmdiffseg.CategoricalMapHead',
    diffusion_sampler=dict(type='CategoricalSampler', final='probs'),
)
ENCODED = dict(STOCHASTIC, type='mmdiffseg.EncodedMapHead')
HEADS = {
    'ddp': dict(DDP, type='mmdiffseg.DDPHead', num_classes=5, generations=2),
    'ddp-accumulated': dict(
        DDP, type='mmdiffseg.DDPHead', num_classes=5, generations=2, accumulation='prob'
    ),
    'depth': dict(DDP, type='mmdiffseg.DDPDepthHead', max_depth=10.0, generations=2),
    'bev': dict(
        DDP,
        type='mmdiffseg.DDPMapHead',
        num_classes=3,
        generations=2,
        denoiser=dict(type='mmdiffseg.BEVMapDecoder', num_layers=1, num_heads=4),
        input_scope=[(0, 8, 1), (0, 8, 1)],
        output_scope=[(1, 5, 0.5), (0, 5, 0.5)],
    ),
    'segdiff': SEGDIFF,
    'segdiff-classes': dict(SEGDIFF, num_classes=3),
    'categorical': CATEGORICAL,
    'categorical-common': dict(
        CATEGORICAL,
        diffusion_sampler=dict(type='CategoricalSampler', spacing='log_snr', coupling='common'),
    ),
    'absorbing': dict(
        CATEGORICAL,
        noise_schedule=dict(type='AbsorbingDiffusion', schedule=dict(type='CosineBetas')),
    ),
    'flow': ENCODED,
    'gaussian': dict(
        ENCODED,
        noise_schedule=dict(type='CosineBetas'),
        label_encoder=dict(type='AnalogBitsEncoder', scale=1.0),
        prediction_type='v',
        diffusion_sampler=dict(type='DDPMSampler'),
    ),
    'dformer': dict(),
    'dformer-semantic': dict(type='mmdiffseg.DFormerSegHead', num_classes=5),
}
B, STEPS = 3, 3
METAS = [dict(img_path=f'{name}.png', img_shape=(32, 32)) for name in 'abc']


@pytest.fixture(params=HEADS)
def head(request, build_dformer_head):
    torch.manual_seed(0)
    config = HEADS[request.param]
    if request.param.startswith('dformer'):
        made = build_dformer_head(**config)
        made.init_weights()
    else:
        made = MODELS.build(ConfigDict(config))
        for parameter in made.denoiser.parameters():  # zeros at the start say nothing
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def features(head):
    generator = torch.Generator().manual_seed(1)
    if 'DFormer' in type(head).__name__:
        sizes = [(c, 32 // s) for c, s in zip([8, 12, 16, 20], (4, 8, 16, 32), strict=True)]
    else:
        sizes = [(head.in_channels, 8)]
    return [torch.randn(B, c, s, s, generator=generator) for c, s in sizes]


def run(head, images, draws=None, *, metas=None, steps=STEPS):
    """What the heads' hosts read off the chains of some images, as one tensor (B, ...)."""
    inputs = [x[images] for x in features(head)]
    metas = [METAS[i] for i in images] if metas is None else metas
    with torch.no_grad():
        parts = [
            head.summarise(head.chains(*batch, steps=steps), len(batch[1]))
            for batch in head.batches(inputs, metas, draws)
        ]
    parts = [part if isinstance(part, tuple) else (part,) for part in parts]
    # class and mask logits of DFormer side by side
    return torch.cat([torch.cat([p.flatten(1) for p in part], dim=1) for part in parts])


class Recorder(Draws):
    """Keeps what it draws."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.kept = {}

    def select(self, rows, *, of):
        return self

    def _draw(self, name, *args):
        drawn = super()._draw(name, *args)
        # DFormer asks row by row, because its rows may differ in size
        self.kept[name] = torch.cat([self.kept[name], drawn]) if name in self.kept else drawn
        return drawn


def test_recorded_draws_replay_a_run(head):
    recorder = Recorder(generator=torch.Generator().manual_seed(3))
    recorded = run(head, [0, 1, 2], recorder)
    assert torch.equal(run(head, [0, 1, 2], Draws(recorder.kept)), recorded)
    steps = {'step0', 'step1'} if head.diffusion_sampler.stochastic else set()
    # with the common coupling a step draws twice: step0.clean and step0
    assert {'start'} | steps == {name.split('.')[0] for name in recorder.kept}
    changed = {name: -value for name, value in recorder.kept.items()}
    assert not torch.equal(run(head, [0, 1, 2], Draws(changed)), recorded)


def test_one_step_training_begins_where_a_chain_of_one_step_does(head):
    times = [head.draw_times(40, Draws(), torch.device('cpu')) for head.one_step in (False, True)]
    assert len(times[0].unique()) > 1 and times[1].shape == (40,)
    begin, _ = head.diffusion_sampler.time_pairs(1)[0]
    assert (times[1] == begin).all() and times[1].dtype == times[0].dtype


def test_recorded_draws_of_another_batch_are_refused(head):
    recorder = Recorder(generator=torch.Generator().manual_seed(3))
    run(head, [0, 1, 2], recorder)
    with pytest.raises(ValueError, match='rows'):
        run(head, [0, 1], Draws(recorder.kept))


def test_a_result_depends_on_neither_batch_nor_order(head):
    together = run(head, [0, 1, 2])
    torch.testing.assert_close(run(head, [2, 0, 1]), together[[2, 0, 1]], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(run(head, [1]), together[[1]], atol=2e-5, rtol=1e-4)
    renamed = [dict(meta, img_path='d.png') for meta in METAS[1:2]]
    assert not torch.allclose(run(head, [1], metas=renamed), together[[1]], atol=1e-3)


@pytest.mark.parametrize('bound', [1, 2, 4])
def test_max_batch_bounds_the_maps_at_once(head, bound, monkeypatch):
    expected = run(head, [0, 1, 2])
    sizes = []
    denoise = head.denoise
    monkeypatch.setattr(head, 'denoise', lambda z, *a: sizes.append(len(z)) or denoise(z, *a))
    head.max_batch = bound
    torch.testing.assert_close(run(head, [0, 1, 2]), expected, atol=2e-5, rtol=1e-4)
    assert max(sizes) <= bound
    assert sum(sizes) == B * head.generations * STEPS


def given(head, images=range(B)):
    """A map that chains can start from, of another size than theirs where they may differ."""
    name, count = type(head).__name__, len(list(images))
    if 'Depth' in name:
        return torch.full((count, 1, 32, 32), 4.0)
    if name == 'DDPMapHead':
        return torch.ones(count, 3, 8, 8)
    return torch.ones(count, 32, 32, dtype=torch.long)


def test_a_start_is_read_and_at_full_strength_it_is_not(head, monkeypatch):
    if 'DFormer' in type(head).__name__:
        with pytest.raises(TypeError, match='has no chain that could start from a given map'):
            next(head.chains(features(head), METAS, None, Start(map=given(head))))
        return

    def begin(start, **options):
        chain = next(head.chains(features(head), METAS, None, start, **options))
        return next(iter(chain))

    plain, full = begin(None, steps=3), begin(Start(map=given(head)), steps=3)
    assert plain.t == full.t and torch.equal(plain.z_t, full.z_t)
    assert torch.equal(plain.output, full.output)
    weak = begin(Start(map=given(head), strength=0.1), steps=2)
    assert weak.t < plain.t and not torch.equal(weak.z_t, plain.z_t)
    other = torch.zeros_like(given(head)) + (1 if 'Depth' in type(head).__name__ else 0)
    assert not torch.equal(begin(Start(map=other, strength=0.1), steps=2).z_t, weak.z_t)
    # a bound on the memory deals the maps out to the images that they are of
    ramp = given(head)
    ramp[1] = other[1]
    start = Start(map=ramp, strength=0.1)
    rows = [
        next(iter(chain)).z_t
        for batch in head.batches(features(head), METAS, None, start)
        for chain in head.chains(*batch, steps=2)
    ]
    monkeypatch.setattr(head, 'max_batch', 1)
    alone = [
        next(iter(chain)).z_t
        for batch in head.batches(features(head), METAS, None, start)
        for chain in head.chains(*batch, steps=2)
    ]
    order = [g * B + i for i in range(B) for g in range(head.generations)]
    torch.testing.assert_close(torch.cat(alone), torch.cat(rows)[order])


def test_leaving_the_loop_stops_the_chain(head, monkeypatch):
    calls = []
    denoise = head.denoise
    monkeypatch.setattr(head, 'denoise', lambda *a: calls.append(1) or denoise(*a))
    for chain in head.chains(features(head), METAS, steps=5):
        for step in chain:
            if step.index == 1:
                break
    assert len(calls) == 2


def test_chains_leave_the_gradient_mode_alone(head):
    for step in next(head.chains(features(head), METAS, steps=2)):
        assert torch.is_grad_enabled()
        assert not step.z_t.requires_grad


@pytest.mark.parametrize('steps', [1, 2, 5])
def test_sampling_stays_in_the_range_of_training(head, steps):
    draws = Draws(generator=torch.Generator().manual_seed(0))
    trained = head.draw_times(20000, draws, torch.device('cpu'))
    times = [step.t for step in next(head.chains(features(head), METAS, steps=steps))]
    spacing = (trained.max() - trained.min()).item() / 1000
    assert trained.min() - spacing <= min(times) and max(times) <= trained.max() + spacing


def test_bfloat16_comes_close(head):
    expected = run(head, [0, 1, 2], steps=1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = run(head, [0, 1, 2], steps=1)
    assert found.dtype == torch.float32 and found.isfinite().all()
    scale = expected.std()
    assert (found - expected).abs().mean() < 0.1 * scale


def truth(head):
    generator = torch.Generator().manual_seed(2)
    size = (8, 8) if isinstance(head, SegDiffHead | StochasticMapHead) else (32, 32)
    samples = []
    for meta in METAS:
        sample = SegDataSample(metainfo=dict(meta, batch_input_shape=size))
        labels = torch.randint(2, (1, *size), generator=generator)
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_depth_map = PixelData(data=1 + torch.rand(1, *size, generator=generator))
        sample.gt_map = PixelData(data=torch.randint(2, (3, 8, 10), generator=generator))
        if type(head).__name__ == 'DFormerHead':
            from mmdet.structures.mask import BitmapMasks

            masks = np.concatenate([labels.numpy() == 0, labels.numpy() == 1])
            instances = InstanceData(labels=torch.tensor([0, 1]))
            instances.masks = BitmapMasks(masks.astype(np.uint8), *size)
            sample.gt_instances = instances
            del sample.gt_sem_seg
        samples.append(sample)
    return samples


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


def test_training_draws_from_its_argument_alone(head):
    head.train()

    def loss(seed):
        torch.manual_seed(0)  # the points of a set loss
        draws = Draws(generator=torch.Generator().manual_seed(seed))
        return total(head.loss(features(head), truth(head), {}, draws=draws))

    first = loss(1)
    assert torch.equal(first, loss(1))
    assert not torch.equal(first, loss(2))
    first.backward()
    gradients = [p.grad for p in head.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)


def test_an_argument_of_another_head_is_explained(request, build_dformer_head):
    with pytest.raises(TypeError, match='takes no num_convs, concat_input.*_delete_=True'):
        MODELS.build(dict(HEADS['ddp'], num_convs=2, concat_input=True))
