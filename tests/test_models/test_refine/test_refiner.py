import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws, Start
from mmdiffseg.models.refine import Target
from mmdiffseg.models.refine.crops import doubtful_boxes

H, W = 40, 56


def scene():
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(3, H, W, generator=generator)
    masks = torch.zeros(3, H, W, dtype=torch.bool)
    masks[0, 4:16, 5:20] = True
    masks[1, 20:36, 30:50] = True
    masks[2, 0:3, 50:56] = True
    return image, masks


def targets(**options):
    image, masks = scene()
    return [Target(image=image, mask=m, name=f'a/{i}', **options) for i, m in enumerate(masks)]


def faded(map_, size):
    """A map (1, h, w) resized bilinearly, with zeros around it."""

    def weights(small, large):
        places = (torch.arange(large)[:, None] + 0.5) * small / large - 0.5
        return (1 - (places - torch.arange(small)).abs()).clamp(min=0)  # (large, small)

    return weights(16, size[0]) @ map_ @ weights(16, size[1]).T


def by_hand(model, target, box, strength=1.0, fade=False, **options):
    """One crop alone: cut, shrink, run the chain, enlarge."""
    left, top, right, bottom = box
    part = [x[..., top:bottom, left:right] for x in (target.image, target.mask.float()[None])]
    image, mask = (
        F.interpolate(x[None], (16, 16), mode='bilinear', align_corners=False) for x in part
    )
    start = Start(map=mask[:, 0] >= 0.5, strength=strength)
    meta = dict(sample_id=f'{target.name}/{box}')
    (chain,) = model.decode_head.chains([image], [meta], None, start, **options)
    *_, last = chain
    size = (bottom - top, right - left)
    if fade:
        return faded(last.x0[0], size)
    return F.interpolate(last.x0, size, mode='bilinear', align_corners=False)[0]


def test_an_object_is_one_crop_with_a_margin(build_refiner):
    model = build_refiner(dict(mode='object'))
    boxes = [(3, 2, 22, 18), (28, 18, 52, 38), (48, 0, 56, 5)]
    for target, one, box in zip(targets(), model.refine(targets()), boxes, strict=True):
        assert one.box == box
        expected = by_hand(model, target, box, fade=True)
        torch.testing.assert_close(one.samples, expected, atol=1e-5, rtol=0)


def test_nothing_appears_or_vanishes_away_from_the_outline(build_refiner):
    free = build_refiner(dict(mode='whole')).refine(targets())
    bound = build_refiner(dict(mode='whole', islands=False)).refine(targets())
    undone = 0
    for target, one, other in zip(targets(), free, bound, strict=True):
        assert other.box == one.box == (0, 0, W, H)
        same = one.samples == other.samples
        assert torch.equal(other.samples[~same], target.mask.float()[None][~same])
        assert not (~same & ((one.samples >= 0.5) == target.mask)).any()
        undone += int((~same).sum())
    assert undone > 0


def test_batches_change_nothing_and_stay_below_their_bound(build_refiner, monkeypatch):
    results, sizes = [], []
    for max_batch in (1, 2, None):
        model = build_refiner(max_batch=max_batch, generations=3)
        denoise = model.decode_head.denoise
        model.decode_head.denoise = lambda z, *args, f=denoise: sizes.append(len(z)) or f(z, *args)
        results.append(model.refine(targets(), mode='patches'))
        assert max(sizes) <= (max_batch or 99)
        sizes.clear()
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert one.box == same.box and one.samples.shape[0] == 3
            torch.testing.assert_close(one.samples, same.samples, atol=1e-5, rtol=0)


def test_generations_differ_and_follow_names(build_refiner):
    model = build_refiner(generations=2)
    (one, *_), (again, *_) = model.refine(targets()), model.refine(targets()[:1])
    torch.testing.assert_close(one.samples, again.samples, atol=1e-5, rtol=0)
    assert not torch.allclose(one.samples[0], one.samples[1])
    image, masks = scene()
    (other,) = model.refine([Target(image=image, mask=masks[0], name='b')])
    assert not torch.allclose(one.samples, other.samples)


def test_recorded_draws_are_dealt_out_to_crops(build_refiner):
    uniforms = {f'step{i}': torch.rand(6, 1, 16, 16) for i in range(5)}  # 2 generations x 3
    model = build_refiner(generations=2, max_batch=2)
    found = model.refine(targets(), mode='object', draws=Draws(uniforms))
    for i, one in enumerate(found):
        own = Draws({name: u[[i, 3 + i]] for name, u in uniforms.items()})
        (alone,) = model.refine(targets()[i : i + 1], mode='object', draws=own)
        torch.testing.assert_close(one.samples, alone.samples, atol=1e-5, rtol=0)


def test_patches_average_and_leave_the_rest(build_refiner):
    model = build_refiner()
    image = scene()[0]
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[2:38, 2:54] = True  # wider than a crop, with an inside that no patch sees
    (one,) = model.refine([Target(image=image, mask=mask, name='a')], mode='patches')
    assert one.box == (0, 0, W, H)
    assert (one.samples[0, 18:22, 20:36] == 1).all()


def test_auto_takes_patches_where_a_crop_would_shrink(build_refiner):
    model = build_refiner()
    image = scene()[0]
    small, large = (torch.zeros(H, W, dtype=torch.bool) for _ in range(2))
    small[5:17, 5:17], large[5:35, 5:50] = True, True
    assert model._boxes(small, 'auto') == [(3, 3, 19, 19)]
    assert len(model._boxes(large, 'auto')) > 3
    assert model.refine([Target(image=image, mask=large, name='a')])[0] is not None


def test_global_and_local_steps(build_refiner):
    model = build_refiner(dict(interpolation='nearest'))
    times = []
    predict = model.decode_head.predict_step
    model.decode_head.predict_step = lambda z, t, c: times.append(int(t)) or predict(z, t, c)
    target = targets()[1]
    (one,) = model.refine([target], mode='global_local')
    assert times[:5] == [5, 4, 3, 2, 1] and set(times[5:]) == {0}
    assert one.box == (0, 0, W, H)
    # by hand: one more step where the global pass is doubtful, and the mean of the patches
    ((whole,),) = model._denoise(
        [target], [[(0, 0, W, H)]], steps=5, strength=1.0, interpolation='nearest'
    )
    mask = whole.samples[0] >= 0.5
    total, count = torch.zeros(2, H, W)
    for box in doubtful_boxes(whole.fine, 16, (H, W)):
        left, top, right, bottom = box
        part = mask[top:bottom, left:right]
        if part.any() and not part.all():
            local = Target(image=target.image, mask=mask, name='any')  # one step draws nothing
            found = by_hand(model, local, box, strength=1 / 6, steps=1)
            total[top:bottom, left:right] += found[0]
            count[top:bottom, left:right] += 1
    expected = torch.where(count > 0, total / count.clamp(min=1), mask.float())
    assert 0 < (count > 0).float().mean()
    torch.testing.assert_close(one.samples[0], expected, atol=1e-5, rtol=0)


def test_the_last_step_of_a_global_pass_is_local(build_refiner):
    model = build_refiner()
    times = []
    predict = model.decode_head.predict_step
    model.decode_head.predict_step = lambda z, t, c: times.append(int(t)) or predict(z, t, c)
    model.refine(targets()[1:2], mode='global_local', steps=3)
    assert times[:2] == [5, 4] and set(times[2:]) == {0}
    times.clear()
    model.refine(targets()[1:2], mode='global_local', strength=0.5)
    assert times[:2] == [2, 1] and set(times[2:]) == {0}


@pytest.mark.parametrize('mode', ['patches', 'global_local'])
def test_pictures_smaller_than_a_patch_are_reflected_and_not_stretched(build_refiner, mode):
    model = build_refiner()
    image, masks = scene()
    image, mask = image[:, 18:30, 28:60], masks[1, 18:30, 28:60]  # 12 x 28 pixels
    seen = []
    denoise = model.decode_head.chains
    model.decode_head.chains = lambda x, *args, **options: (
        seen.append(x[0]) or denoise(x, *args, **options)
    )
    (one,) = model.refine([Target(image=image, mask=mask, name='a')], mode=mode)
    assert one.samples.shape[1:] == (one.box[3] - one.box[1], one.box[2] - one.box[0])
    assert one.box[2] <= 28 and one.box[3] <= 12
    crops = torch.cat(seen[mode == 'global_local' :])
    padded = torch.cat([image, image.flip(1)[:, 1:5]], dim=1)  # to 16 x 28 pixels
    windows = padded.unfold(2, 16, 1).permute(2, 0, 1, 3)  # (13, 3, 16, 16)
    for crop in crops:
        assert any(torch.equal(crop, window) for window in windows)


@pytest.mark.parametrize('mode', ['object', 'patches', 'whole'])
def test_kept_pixels_come_out_as_they_went_in(build_refiner, mode):
    keep = torch.rand(H, W, generator=torch.Generator().manual_seed(0)) < 0.3
    model = build_refiner()
    held = model.refine(targets(keep=keep), mode=mode)
    for target, one in zip(targets(), held, strict=True):
        left, top, right, bottom = one.box
        known, mask = (x[top:bottom, left:right] for x in (keep, target.mask))
        assert torch.equal(one.samples[0][known], mask[known].float())
    assert not torch.allclose(model.refine(targets(), mode=mode)[0].samples, held[0].samples)


def test_what_is_too_small_or_empty_or_without_outline(build_refiner):
    model = build_refiner(dict(mode='object'))
    image = scene()[0]
    empty = torch.zeros(H, W, dtype=torch.bool)
    dot, full = empty.clone(), ~empty
    dot[5, 5] = True
    made = [Target(image=image, mask=m, name='a') for m in (empty, dot, full)]
    found = model.refine(made)
    assert found[:2] == [None, None] and found[2].box == (0, 0, W, H)
    assert model.refine(made, mode='patches') == [None, None, None]
    assert model.refine(made, mode='global_local')[:2] == [None, None]
    assert model.refine([]) == []
    with pytest.raises(ValueError, match="mode must be one of .*, got 'slide'"):
        model.refine(made, mode='slide')


def samples_of(labels, **meta):
    meta = dict(img_path='a.png', img_shape=(H, W), ori_shape=(H, W), **meta)
    return SegDataSample(metainfo=meta, coarse_sem_seg=PixelData(data=labels[None]))


def test_a_test_run_refines_classes_of_pictures_that_are_padded(build_refiner):
    model = build_refiner(dict(mode='object'))
    image, masks = scene()
    labels = (masks * torch.tensor([1, 2, 0]).view(3, 1, 1)).sum(dim=0)
    padded = F.pad(image, (0, 8, 0, 8))[None]
    (sample,) = model.predict(padded, [samples_of(labels)])
    assert sample.pred_sem_seg.data.shape == (1, H, W)
    assert set(sample.pred_sem_seg.data.unique().tolist()) <= {0, 1, 2}
    assert 'seg_prob' not in sample
    (binary,) = model.predict(padded, [samples_of((labels == 1).long())])
    box = model._boxes(labels == 1, 'object')[0]
    target = Target(image=image, mask=labels == 1, name='a.png/None/1')
    expected = by_hand(model, target, box, fade=True)
    left, top, right, bottom = box
    found = binary.seg_prob.data[:, top:bottom, left:right]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert torch.equal(binary.seg_prob.data >= 0.5, binary.pred_sem_seg.data == 1)
    with pytest.raises(ValueError, match='the coarse mask of a.png is 20x40, its image 56x40'):
        model.predict(padded, [samples_of(labels[:, :20])])
