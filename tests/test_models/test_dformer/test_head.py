from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import mask2former_head
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.dformer.mask_classification import MaskPrediction, average
from mmdiffseg.models.dformer.mask_decoder import MaskReading
from mmdiffseg.models.dformer.mask_grid import MaskGrid

DATA = Path(__file__).parents[2] / 'data'
SIZES = {8: (16, 24), 12: (8, 12), 16: (4, 6), 20: (2, 3)}


def features(batch=2, scale=1):
    torch.manual_seed(1)
    return [torch.randn(batch, c, h * scale, w * scale) for c, (h, w) in SIZES.items()]


def make_sample(name, *, objects=3, img_shape=(60, 90), stuff=(5, 6), labels=None):
    """Ground truth of one image of 60 x 90 pixels, padded to 64 x 96."""
    generator = torch.Generator().manual_seed(objects)
    masks = torch.rand(objects, 64, 96, generator=generator) < 0.3
    sem_seg = torch.full((1, 64, 96), 255)
    for i, label in enumerate(stuff):
        sem_seg[:, 10 * i : 10 * (i + 1)] = label
    if labels is None:
        labels = torch.arange(objects) % 5
    return DetDataSample(
        metainfo=dict(
            img_path=f'{name}.jpg',
            img_shape=img_shape,
            ori_shape=img_shape,
            batch_input_shape=(64, 96),
        ),
        gt_instances=InstanceData(labels=labels, masks=BitmapMasks(masks.numpy(), 64, 96)),
        gt_sem_seg=PixelData(sem_seg=sem_seg),
    )


@pytest.fixture
def build(build_dformer_head):
    def build(**options):
        torch.manual_seed(0)
        head = build_dformer_head(**options)
        head.init_weights()
        return head

    return build


def test_set_loss_equals_the_recorded_one(build, monkeypatch):
    """Assignments, losses and gradients, for one image with three masks and one with none."""
    recorded = torch.load(DATA / 'dformer_criterion.pt')
    head = build()
    cls_scores = [scores.requires_grad_() for scores in recorded['cls_scores']]
    masks = [logits.requires_grad_() for logits in recorded['masks']]
    targets = [
        InstanceData(labels=labels, masks=gt_masks.long())
        for labels, gt_masks in zip(recorded['labels'], recorded['gt_masks'], strict=True)
    ]
    matched, assign = [], head.assigner.assign

    def watched_assign(**arguments):
        result = assign(**arguments)
        (queries,) = result.gt_inds.nonzero(as_tuple=True)
        matched.append((queries, result.gt_inds[queries] - 1))
        return result

    monkeypatch.setattr(head.assigner, 'assign', watched_assign)
    draws = iter(recorded['draws'])
    monkeypatch.setattr(torch, 'rand', lambda *shape, **options: next(draws))
    losses = head.loss_by_feat(cls_scores, masks, targets, [{}, {}])
    assert next(draws, None) is None

    expected = [pair for layer in recorded['indices'] for pair in layer]
    for (queries, objects), (i, j) in zip(matched, expected, strict=True):
        assert queries.tolist() == i.sort()[0].tolist()
        assert objects.tolist() == j[i.argsort()].tolist()
    for layer, suffix in (('', ''), ('d0.', '_0'), ('d1.', '_1')):
        for ours, theirs, weight in (('cls', 'ce', 2), ('mask', 'mask', 5), ('dice', 'dice', 5)):
            value = losses[f'{layer}loss_{ours}'].sum() / weight
            torch.testing.assert_close(
                value, recorded['losses'][f'loss_{theirs}{suffix}'], rtol=1e-5, atol=1e-5
            )
    sum(losses.values()).backward()
    for scores, gradient in zip(cls_scores, recorded['grad_cls_scores'], strict=True):
        torch.testing.assert_close(scores.grad, gradient, rtol=1e-5, atol=1e-6)
    for logits, (rows, gradient) in zip(masks, recorded['grad_masks'], strict=True):
        torch.testing.assert_close(logits.grad[0, rows], gradient, rtol=1e-5, atol=1e-6)
        assert logits.grad[1].abs().sum() == 0


def test_every_parameter_learns_behind_every_layer(build):
    head = build()
    losses = head.loss(features(), [make_sample('a'), make_sample('b', objects=0, stuff=())])
    layers = {name.rpartition('.')[0] for name in losses}
    assert layers == {'', 'd0', 'd1', 'd2'} and len(losses) == 12
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_set_loss_is_in_float32_under_autocast(build, monkeypatch, dtype):
    head, states = build(), []
    loss_by_feat = head.loss_by_feat

    def watched_loss(*arguments):
        states.append(torch.is_autocast_enabled('cpu'))
        return loss_by_feat(*arguments)

    monkeypatch.setattr(head, 'loss_by_feat', watched_loss)
    with torch.autocast('cpu', dtype=dtype):
        losses = head.loss(features(), [make_sample('a'), make_sample('b', objects=0, stuff=())])
    assert states == [False]
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_training_draws_can_be_replayed(build):
    head = build()
    x, samples = features(), [make_sample('a'), make_sample('b')]

    def loss(draws):
        torch.manual_seed(5)  # for the points of the set loss
        return sum(head.loss(x, samples, draws=draws).values()).item()

    def generator():
        return torch.Generator().manual_seed(3)

    assert loss(Draws(generator=generator())) == loss(Draws(generator=generator()))
    other = torch.Generator().manual_seed(4)
    assert loss(Draws(generator=generator())) != loss(Draws(generator=other))
    # in the released code's order: time, random masks, order, noise, one image after the other
    g, given = generator(), dict(t=[], padding=[], order=[], eps=[])
    for _ in samples:
        given['t'].append(torch.randint(1000, (), generator=g))
        given['padding'].append(torch.empty(7, 64, 96, dtype=torch.bool).random_(generator=g))
        given['order'].append(torch.randperm(12, generator=g))
        given['eps'].append(torch.randn(1, 12, 64, 96, generator=g)[0])
    assert loss(Draws(given)) == loss(Draws(generator=generator()))


def test_corruption_equals_the_recorded_one(build):
    """Bit by bit, at the pixels that the decoder reads."""
    for case in torch.load(DATA / 'dformer_corruption.pt'):
        head = build()
        head.label_encoder.scale = case['scale']
        grid = MaskGrid([case['gt'].shape[1:]], fine=(5, 7), coarse=(1, 1))
        given = dict(t=case['t'], padding=case['padding'], order=case['order'], eps=case['noise'])
        rows = {name: value if name == 't' else value[None] for name, value in given.items()}
        z_t, t = head.corrupt_masks(case['gt'], grid, Draws(rows))
        assert torch.equal(t, case['t'])
        expected = grid.pick(case['soft_masks'], image=0)
        assert torch.equal(head.label_encoder.to_soft_masks(z_t)[0], expected)


def corrupted_as_released(head, sample, given):
    """The noisy masks (1, Q, H, W), made in full size as the released code does."""
    masks = head.make_targets([sample])[0].masks.bool()
    slots = torch.cat([masks, given['padding'][0]])[given['order'][0]]
    alpha, sigma = head.noise_schedule.alpha_sigma(given['t'][:1])
    z_t = alpha * (2 * slots.double() - 1) * 0.1 + sigma * given['eps'][0]
    return ((z_t.clamp(-0.1, 0.1) / 0.1 + 1) / 2).float()[None]


def test_the_decoder_sees_the_corrupted_masks(build, monkeypatch):
    head = build()
    sample = make_sample('a')
    readings = []

    def decode_every_layer(reading, t, context):
        readings.append((reading, t))
        return type(head).decode_every_layer(head, reading, t, context)

    monkeypatch.setattr(head, 'decode_every_layer', decode_every_layer)
    given = dict(
        t=torch.tensor([300]),
        padding=torch.rand(1, 7, 64, 96) < 0.5,
        order=torch.arange(12).flip(0)[None],
        eps=torch.randn(1, 12, 64, 96),
    )
    head.loss(features(1), [sample], draws=Draws(given))
    ((reading, t),) = readings
    assert t.tolist() == [300]
    soft = corrupted_as_released(head, sample, given)
    expected = F.interpolate(soft, (16, 24), mode='bilinear')
    torch.testing.assert_close(reading.weights, expected)
    small = F.interpolate(soft, (2, 3), mode='bilinear').flatten(2)
    assert torch.equal(reading.visible, small >= 0.5)


def test_more_masks_than_queries(build):
    head = build()
    losses = head.loss(features(1), [make_sample('a', objects=150)])
    assert all(value.isfinite() for value in losses.values())
    targets = head.make_targets([make_sample('a', objects=150)])
    assert len(targets[0].labels) == 152
    scores, masks = torch.randn(12, 8), torch.randn(12, 16, 24)
    *_, count = head.get_targets([scores], [masks], targets, [{}])
    assert count == 152


def test_wrong_ground_truth_is_refused(build):
    head = build()
    with pytest.raises(ValueError, match=r'labels must lie in \[0, 7\), got \[7, 80\]'):
        wrong = make_sample('a', labels=torch.tensor([0, 80, 7]))
        head.loss(features(1), [wrong])
    unpadded = make_sample('a')
    unpadded.set_metainfo(dict(batch_input_shape=(64, 128)))
    with pytest.raises(ValueError, match=r'64 x 96 pixels meet .* \(64, 128\): set pad_mask=True'):
        head.loss(features(1), [unpadded])


@torch.no_grad()
def chain(head, x, noise, step_noise, times):
    """Algorithm 2 as released, in full size and its own formulas; the last masks and classes."""
    b = 0.1
    abar = head.noise_schedule.alphas_cumprod
    context = head.prepare_images(x, [noise.shape[2:]] * len(noise))
    z = noise
    for k, (t, then) in enumerate(zip(times, [*times[1:], -1], strict=True)):
        soft = ((z.clamp(-b, b) / b + 1) / 2).float()
        weights = F.interpolate(soft, (16, 24), mode='bilinear')
        visible = F.interpolate(soft, (2, 3), mode='bilinear').flatten(2) >= 0.5
        reading = MaskReading(weights, visible)
        prediction = head.decode(reading, torch.full((len(z),), t), context)
        if then < 0:
            return prediction
        x0 = F.interpolate(prediction.masks.sigmoid(), z.shape[2:], mode='bilinear')
        x0 = ((2 * x0 - 1) * b).clamp(-b, b)
        now, next_ = abar[t], abar[then]
        eps = ((1 / now).sqrt() * z.double() - x0) / (1 / now - 1).sqrt()
        sigma = ((1 - now / next_) * (1 - next_) / (1 - now)).sqrt()
        z = next_.sqrt() * x0 + (1 - next_ - sigma**2).sqrt() * eps + sigma * step_noise[k]


@pytest.mark.parametrize(('steps', 'times'), [(1, [999]), (3, [999, 665, 332])])
@torch.no_grad()
def test_sampling_follows_the_released_algorithm(build, steps, times):
    head, x = build(), features()
    noise, *step_noise = torch.randn(3, 2, 12, 60, 90)
    samples = [make_sample('a'), make_sample('b')]
    given = {f'step{k}': fresh for k, fresh in enumerate(step_noise)}
    draws = Draws({'start': noise, **given})
    cls_scores, masks = head.predict(x, samples, steps=steps, draws=draws)
    expected = chain(head, x, noise, step_noise, times)
    torch.testing.assert_close(cls_scores, expected.cls_scores, rtol=1e-3, atol=1e-4)
    assert masks.shape == (2, 12, 64, 96)
    resized = F.interpolate(expected.masks, (64, 96), mode='bilinear')
    torch.testing.assert_close(masks, resized, rtol=1e-3, atol=1e-4)


def test_the_image_is_encoded_once_and_the_last_step_makes_nothing_more(build, monkeypatch):
    head, calls = build(steps=4), []

    def watch(module, name):
        method = getattr(module, name)
        watched = lambda *args, **kwargs: calls.append(name) or method(*args, **kwargs)  # noqa: E731
        monkeypatch.setattr(module, name, watched)

    watch(head, 'prepare_images')
    watch(head, 'decode')
    watch(head.label_encoder, 'encode_output')
    watch(head.cls_embed, 'forward')
    head.predict(features(), [make_sample('a'), make_sample('b')])
    counts = {name: calls.count(name) for name in calls}
    assert counts == {'prepare_images': 1, 'decode': 4, 'encode_output': 3, 'forward': 4}


@torch.no_grad()
def test_the_noise_belongs_to_the_image(build):
    head, x = build(steps=2), features()
    samples = [make_sample('a'), make_sample('b')]
    both = head.predict(x, samples)
    for i in (1, 0):
        alone = head.predict([map_[i : i + 1] for map_ in x], samples[i : i + 1])
        torch.testing.assert_close(alone[1][0], both[1][i], rtol=1e-3, atol=1e-4)
    head.seed = 1
    assert not torch.equal(head.predict(x, samples)[1], both[1])
    first, second = (
        head.predict(x, samples, draws=Draws(generator=torch.Generator().manual_seed(7)))
        for _ in range(2)
    )
    assert torch.equal(first[1], second[1])


def starts(head, x, samples, draws=None):
    """The noise that a chain starts from, and the step that it belongs to."""
    (chain,) = head.chains(x, [sample.metainfo for sample in samples], draws)
    return next(chain)


@torch.no_grad()
def test_the_noise_depends_on_no_other_image(build):
    """Of whatever size it is."""
    head, x = build(), features()
    for company in ((60, 90), (64, 96), (33, 50)):
        samples = [make_sample('a'), make_sample('b', img_shape=company)]
        both = starts(head, x, samples).z_t
        alone = starts(head, [map_[:1] for map_ in x], samples[:1]).z_t
        assert torch.equal(both[:1], alone)
    whole = Draws.named(['a.jpg/None/60x90/0'], seed=0).normal('start', (1, 12, 60, 90))
    context = head.prepare([map_[:1] for map_ in x], [samples[0].metainfo])
    assert torch.equal(alone[0], context.grid.pick(whole[0], image=0))


@torch.no_grad()
def test_size_of_the_noise(build):
    x, samples = features(), [make_sample('a'), make_sample('b', img_shape=(64, 80))]
    noise = [torch.randn(12, 60, 90), torch.randn(12, 64, 80)]
    step = starts(build(), x, samples, Draws({'start': noise}))
    context = build().prepare(x, [sample.metainfo for sample in samples])
    for i in range(2):
        assert torch.equal(step.z_t[i], context.grid.select([i]).pick(noise[i], image=0))
    assert step.x0.shape == step.z_t.shape
    padded = torch.randn(2, 12, 64, 96)
    starts(build(noise_size='padded'), x, samples, Draws({'start': padded}))
    with pytest.raises(ValueError, match=r"'start' has the shape \(1, 12, 64, 96\)"):
        starts(build(), x, samples, Draws({'start': padded}))
    with pytest.raises(ValueError, match="noise_size must be one of .* got 'image'"):
        build(noise_size='image')
    # without meta information, as for counting operations
    assert build().forward(x).masks.shape == (2, 12, 16, 24)


def test_a_window_smaller_than_its_image_has_noise_of_its_own_size(build):
    """mmseg's sliding inference tells only the first image of a batch that it is a window."""
    head = build()
    assert head.mask_size(dict(img_shape=(60, 90)), (64, 96)) == (60, 90)
    assert head.mask_size(dict(img_shape=(200, 90)), (64, 96)) == (64, 96)


@torch.no_grad()
def test_ensemble_over_the_steps(build):
    head, x = build(ensemble_steps=True, steps=3), features()
    cls_scores, masks = head.sample(x, [{}, {}])
    (chain,) = head.chains(x, [{}, {}])
    seen = [step.output for step in chain]
    assert len(seen) == 3
    probs = torch.stack([step.cls_scores.softmax(-1) for step in seen]).mean(dim=0)
    torch.testing.assert_close(cls_scores.softmax(-1), probs)
    mask_probs = torch.stack([step.masks.sigmoid() for step in seen]).mean(dim=0)
    torch.testing.assert_close(masks.sigmoid(), mask_probs, rtol=0, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize('max_batch', [None, 1, 4])
def test_slots_of_generations_stand_side_by_side(build, max_batch):
    head, x = build(generations=3, max_batch=max_batch, steps=2), features()
    samples = [make_sample('a'), make_sample('b', img_shape=(64, 80))]
    cls_scores, masks = head.predict(x, samples)
    assert cls_scores.shape == (2, 36, 8) and masks.shape == (2, 36, 64, 96)
    first = build(steps=2).predict(x, samples)
    torch.testing.assert_close(cls_scores[:, :12], first[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(masks[:, :12], first[1], rtol=1e-3, atol=1e-4)
    assert (cls_scores[:, 12:24] - first[0]).abs().max() > 1e-3


@torch.no_grad()
def test_a_chain_can_be_left_early(build, monkeypatch):
    head, calls = build(steps=4), []
    decode = head.decode
    monkeypatch.setattr(head, 'decode', lambda *args: calls.append(1) or decode(*args))
    (chain,) = head.chains(features(), [{}, {}])
    for step in chain:
        if step.index == 1:
            break
    assert len(calls) == 2


def test_average_of_certain_masks_is_finite():
    certain = MaskPrediction(torch.zeros(1, 2, 3), torch.full((1, 2, 4, 4), 1e4))
    assert average([certain, certain]).masks.isfinite().all()


def test_is_mdets_head_within_its_detector(build):
    """Anything that asks for mmdet's head finds one."""
    head = build()
    assert isinstance(head, mask2former_head.Mask2FormerHead)
    assert not hasattr(head, 'query_feat')
