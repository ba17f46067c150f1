"""Ref-Diff as a whole."""

import json

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from pycocotools import mask as coco_mask

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.referring.positional_bias import TARGETS, PositionalBias
from mmdiffseg.registry import MODELS

TEXTS = ['red circle on the left', 'a skateboarder', 'blue square']


@pytest.fixture
def masks_file(tmp_path, masks):
    """Proposals of a.png, in a file."""
    path = tmp_path / 'masks.json'
    runs = []
    for mask in masks:
        run = coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
        runs.append(dict(size=list(run['size']), counts=run['counts'].decode()))
    path.write_text(json.dumps({'a.png': runs, 'none.png': []}))
    return str(path)


@pytest.fixture
def build(stable_diffusion, clip, masks_file):
    """Build one of the paper's variants, with precomputed proposals in the place of SAM."""
    weights = dict(
        g=dict(hard=0.0, soft=0.0, gen=1.0),
        gs=dict(hard=0.0, soft=0.0, gen=1.0),
        ds=dict(gen=0.0),
        full=dict(),
    )

    def make(variant='full', fusion={}, generator={}, **settings):
        precomputed = dict(type='mmdiffseg.PrecomputedProposer', path=masks_file)
        free = dict(type='mmdiffseg.WeightFreeProposer')
        localizer = dict(
            type='mmdiffseg.CrossAttentionLocalizer',
            checkpoint=stable_diffusion,
            image_size=32,
            capture_stride=4,
            resize='bilinear',
            **generator,
        )
        masked_clip = dict(type='mmdiffseg.MaskedCLIP', checkpoint=clip)
        return MODELS.build(
            dict(
                type='mmdiffseg.RefDiff',
                proposer=free if variant == 'g' else precomputed,
                generator=None if variant == 'ds' else localizer,
                discriminator=masked_clip if variant in ('ds', 'full') else None,
                root_finder=dict(type='mmdiffseg.RuleRootTokenFinder'),
                fusion=dict(type='mmdiffseg.RefScoreFusion', **weights[variant], **fusion),
                **settings,
            )
        )

    return make


def make_sample(text=None, texts=None, name='a.png'):
    sample = SegDataSample(metainfo=dict(img_path=f'somewhere/{name}'))
    sample.set_metainfo(dict(text=text) if text else dict(texts=texts))
    return sample


def as_loaded(image):
    """A picture as mmcv loads it."""
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)


def ask(model, image, text=None, texts=None, name='a.png'):
    batch = dict(inputs=[as_loaded(image)], data_samples=[make_sample(text, texts, name)])
    (sample,) = model.test_step(batch)
    return sample


@pytest.mark.parametrize('variant', ['g', 'gs', 'ds', 'full'])
def test_variants_have_only_what_they_need(build, image, variant):
    model = build(variant)
    children = {name for name, _ in model.named_children()}
    assert ('generator' in children) == (variant != 'ds')
    assert ('discriminator' in children) == (variant in ('ds', 'full'))
    referrals = model.segment(image, TEXTS, name='a.png')
    for text, referral in zip(TEXTS, referrals, strict=True):
        assert referral.text == text and referral.mask.shape == (40, 56)
        assert len(referral.proposals) == (19 if variant == 'g' else 4)
        assert referral.total.isfinite().all() and referral.index == referral.total.argmax()
        views = dict(g={'gen'}, gs={'gen'}, ds={'hard', 'soft'}, full={'hard', 'soft', 'gen'})
        assert set(referral.scores) == views[variant]
    if variant == 'full':
        total = 0.7 * referral.scores['hard'] + 0.3 * referral.scores['soft']
        torch.testing.assert_close(referral.total, total + 0.05 * referral.scores['gen'])
    assert (referral.heat is None) == (variant == 'ds')


@pytest.mark.parametrize(
    ('settings', 'fault'),
    [
        (dict(), 'generator is missing with WeightFreeProposer'),
        (dict(generator=dict(type='any')), 'discriminator is missing'),
    ],
)
def test_weights_and_parts_must_agree(settings, fault):
    fusion = dict(type='mmdiffseg.RefScoreFusion', gen=0.0)
    proposer = dict(type='mmdiffseg.WeightFreeProposer')
    with pytest.raises(ValueError, match=fault):
        MODELS.build(dict(type='mmdiffseg.RefDiff', proposer=proposer, fusion=fusion, **settings))


def test_samples(build, image):
    model = build()
    one, all_ = ask(model, image, text=TEXTS[1]), ask(model, image, texts=TEXTS)
    assert one.pred_sem_seg.data.shape == (1, 40, 56)
    assert one.pred_sem_seg.data.dtype == torch.uint8
    assert one.pred_instances.masks.shape == (1, 40, 56)
    assert all_.pred_instances.masks.shape == all_.attn_map.data.shape == (3, 40, 56)
    assert 'pred_sem_seg' not in all_
    assert torch.equal(all_.pred_instances.masks[1:2], one.pred_instances.masks)
    torch.testing.assert_close(all_.attn_map.data[1:2], one.attn_map.data, atol=1e-5, rtol=0)
    expected = model.segment(image, TEXTS, name='a.png')
    for index, referral in enumerate(expected):
        assert torch.equal(all_.pred_instances.masks[index], referral.mask)
        assert torch.equal(all_.ref_scores[index], referral.total)


def test_shared_work_is_done_once_and_changes_nothing(build, image, monkeypatch):
    model, forgetful = build(), build(cache_images=0)
    calls = []
    for owner, name in (
        (model.generator, 'encode_image'),
        (model.proposer, 'forward'),
        (model.discriminator, 'encode_soft'),
        (model.discriminator, 'encode_hard'),
    ):
        true = getattr(owner, name)

        def spy(*args, true=true, name=name):
            calls.append(name)
            return true(*args)

        monkeypatch.setattr(owner, name, spy)
    for text in [*TEXTS, *TEXTS]:
        (ours,), (plain,) = (m.segment(image, [text], name='a.png') for m in (model, forgetful))
        torch.testing.assert_close(ours.total, plain.total, atol=1e-5, rtol=0)
    # the crops once with and once without the ramp of 'left'
    assert sorted(calls) == ['encode_hard'] * 2 + ['encode_image', 'encode_soft', 'forward']
    other = image[::-1].copy()
    model.segment(other, TEXTS[:1], name='a.png')
    assert calls.count('encode_image') == 2


def test_order_of_images_and_sentences_does_not_matter(build, image):
    other = image[:, ::-1].copy()
    asked = [(image, 0), (other, 1), (image, 2), (other, 0), (image, 1)]
    answers = []
    for order in (range(5), [3, 0, 4, 2, 1]):
        model = build(cache_images=1)
        totals = {}
        for i in order:
            (referral,) = model.segment(asked[i][0], [TEXTS[asked[i][1]]], name='a.png')
            totals[i] = referral.total
        answers.append(torch.stack([totals[i] for i in range(5)]))
    torch.testing.assert_close(*answers, atol=1e-5, rtol=0)


def test_positional_bias_targets(build, image):
    model = build(positional_bias=None)

    def ask_with(text, on):
        model.positional_bias = PositionalBias(on=on)
        return model.segment(image, [text], name='a.png')[0]

    (plain,) = model.segment(image, TEXTS[:1], name='a.png')
    for target, changed in (('hard', 'hard'), ('soft', 'soft'), ('heat', 'gen')):
        biased = ask_with(TEXTS[0], (target,))
        for view in ('hard', 'soft', 'gen'):
            same = torch.allclose(biased.scores[view], plain.scores[view], atol=1e-6)
            assert same == (view != changed)
    assert torch.equal(ask_with(TEXTS[1], TARGETS).total, ask_with(TEXTS[1], ()).total)


def test_filter(build, image):
    area = dict(type='mmdiffseg.AreaProposalFilter', topk=2)
    unfiltered = build().segment(image, TEXTS[:1], name='a.png')[0]
    referral = build(proposal_filter=area).segment(image, TEXTS[:1], name='a.png')[0]
    assert referral.keep.tolist() == [True, False, True, False]
    torch.testing.assert_close(referral.total[[0, 2]], unfiltered.total[[0, 2]])
    assert referral.total[[1, 3]].tolist() == [0, 0]
    assert referral.scores['hard'].isnan().tolist() == [False, True, False, True]
    strict = area | dict(strict=True)
    referral = build(proposal_filter=strict).segment(image, TEXTS[:1], name='a.png')[0]
    assert referral.keep[referral.index]
    nothing = area | dict(min_pixels=10_000)
    assert build(proposal_filter=nothing).segment(image, TEXTS[:1], name='a.png')[0].index == 0


def test_no_proposals(build, image):
    sample = ask(build(), image, text=TEXTS[0], name='none.png')
    assert sample.pred_sem_seg.data.all() and sample.ref_scores[0].isfinite().all()


def test_released_faults(build, image):
    swapped = build(bgr_bug=True)
    first, second = ask(swapped, image, texts=TEXTS), ask(build(), image[..., ::-1], texts=TEXTS)
    assert torch.equal(first.attn_map.data, second.attn_map.data)
    sample = ask(build(first_sentence_only=True), image, texts=TEXTS)
    assert sample.pred_instances.masks.shape == (3, 40, 56)
    assert torch.equal(sample.ref_scores[0], sample.ref_scores[2])


def test_frozen(build):
    model = build().train()
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.modules())
    with pytest.raises(NotImplementedError, match="not trained .* mode='loss'"):
        model([], [], mode='loss')


@pytest.mark.parametrize('text', ['  ', 'zebra', 'red ' * 11])
def test_bad_sentences(build, image, text):
    for variant in ('gs', 'ds'):
        with pytest.raises(ValueError, match='must say something|no word|tokens'):
            build(variant).segment(image, [text], name='a.png')


@pytest.mark.parametrize('variant', ['g', 'gs', 'ds', 'full'])
def test_unknown_words_are_noted_alike(build, image, variant):
    model = build(variant)
    with pytest.warns(UserWarning, match="does not know 'zebras', the word that 'the blue zebras'"):
        about, plain = model.segment(image, ['the blue zebras', 'the blue circle'], name='a.png')
    assert len(about.notes) == 1 and plain.notes == []


def test_image_that_the_model_does_not_know(build, image):
    model = build('gs', generator=dict(max_latent_std=1e-3))
    for _ in range(2):  # also from the cache
        with pytest.warns(UserWarning, match='unlike those that the model was trained on'):
            (referral,) = model.segment(image, TEXTS[:1], name='a.png')
        assert len(referral.notes) == 1


@pytest.mark.parametrize('wrong', ['float', 'grey'])
def test_bad_images(build, image, wrong):
    picture = image.astype(float) if wrong == 'float' else image[..., 0]
    with pytest.raises(ValueError, match=r'must be \(H, W, 3\) uint8 RGB, got \(40, 56'):
        build('ds').segment(picture, TEXTS[:1], name='a.png')


def test_same_picture_under_another_name_has_its_own_masks(build, image):
    model = build('ds')
    assert len(model.segment(image, TEXTS[:1], name='a.png')[0].proposals) == 4
    assert len(model.segment(image, TEXTS[:1], name='none.png')[0].proposals) == 1


@pytest.mark.parametrize('first_only', [False, True])
def test_given_draws_are_shared_out_over_images_and_sentences(build, image, first_only):
    model = build('gs', first_sentence_only=first_only)
    pictures, texts = [image, image[::-1].copy()], [TEXTS[:2], TEXTS[1:]]
    rows = 2 if first_only else 4
    noise = {name: torch.randn(rows, 4, 16, 16) for name in ('posterior', 'start')}
    samples = [make_sample(texts=some) for some in texts]
    samples = model([as_loaded(p) for p in pictures], samples, draws=Draws(noise))
    number = 0
    for sample, picture, some in zip(samples, pictures, texts, strict=True):
        for i, text in enumerate(some[: rows // 2]):
            own = Draws(noise).select([number], of=rows)
            (alone,) = model.segment(picture, [text], name='a.png', draws=own)
            torch.testing.assert_close(sample.attn_map.data[i], alone.heat, atol=0.02, rtol=0)
            torch.testing.assert_close(sample.ref_scores[i], alone.total, atol=0.02, rtol=0)
            number += 1
    assert number == rows
