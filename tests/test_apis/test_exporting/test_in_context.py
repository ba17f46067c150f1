"""Exported Ref LDM-Seg against the eager one."""

import numpy as np
import pytest
import torch

from mmdiffseg.apis.exporting.in_context import scheduler_rows
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context.step_noise import StepNoise
from mmdiffseg.runtime import load

diffusers = pytest.importorskip('diffusers')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
SCHEDULERS = {
    'DDIMScheduler': dict(clip_sample=False, set_alpha_to_one=False),
    'DDPMScheduler': dict(clip_sample=False),
    'PNDMScheduler': dict(skip_prk_steps=True),
    'DPMSolverMultistepScheduler': {},
    'EulerDiscreteScheduler': {},
}


@pytest.mark.parametrize('kind', SCHEDULERS)
@pytest.mark.parametrize('steps', [1, 6])
def test_numbers_walk_as_schedulers_do(kind, steps):
    scheduler = getattr(diffusers, kind)(**BETAS, **SCHEDULERS[kind])
    rows = scheduler_rows(scheduler, steps)
    generator = torch.Generator().manual_seed(0)
    noise = {f'step{i}': torch.randn(1, 4, 5, 6, generator=generator) for i in range(len(rows))}
    start = torch.randn(1, 4, 5, 6, generator=generator)

    def predict(z, t):
        return torch.sin(2 * z) + 0.001 * float(t)

    scheduler.set_timesteps(steps)
    z, seen = start * scheduler.init_noise_sigma, [start]
    *calls, end = rows
    assert len(calls) == len(scheduler.timesteps)

    def mix(weights):
        return sum(w * m for w, m in zip(weights, seen, strict=True))

    for index, (row, t) in enumerate(zip(calls, scheduler.timesteps, strict=True)):
        z_t = scheduler.scale_model_input(z, t)
        assert row['t'] == t
        torch.testing.assert_close(mix(row['z']), z_t.float(), rtol=1e-4, atol=1e-4)
        output = predict(z_t, t)
        with StepNoise(Draws(noise), f'step{index}'):
            z = scheduler.step(output, t, z).prev_sample
        seen += [output, noise[f'step{index}']]
        assert row['noise'] == (kind == 'DDPMScheduler' and index < len(calls) - 1)
    torch.testing.assert_close(mix(end['z']), z.float(), rtol=1e-4, atol=1e-4)


def test_a_scheduler_that_clips_is_refused():
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=True)
    with pytest.raises(ValueError, match='DDIMScheduler is not a weighted sum of maps'):
        scheduler_rows(scheduler, 3)


@pytest.fixture
def photographs():
    generator = np.random.default_rng(0)
    return [
        np.kron(generator.integers(0, 256, (6, 9, 3), dtype=np.uint8), np.ones((16, 16, 1))).astype(
            np.uint8
        )[:height, :width]
        for height, width in ((91, 143), (64, 64), (77, 50), (33, 61))
    ]


def masks_of(pictures):
    masks = [np.zeros(picture.shape[:2], np.uint8) for picture in pictures]
    for mask in masks:
        mask[len(mask) // 4 : len(mask) // 2, 5:40] = 1
    return masks


def check(segmenter, runtime, photographs, *, concepts, **settings):
    *shown, first, second = photographs
    pairs = list(zip(shown, masks_of(shown), strict=True))
    examples = {'left': pairs, 'right': pairs[::-1][:1]} if concepts == 2 else pairs
    for picture in (first, second):
        expected, found = (
            model(picture, examples=examples, **settings) for model in (segmenter, runtime)
        )
        assert list(found.classes) == list(expected.classes)
        assert found.palette == expected.palette
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
        assert (found.labels == expected.labels).mean() > 0.999
    return expected


@pytest.mark.recipe
@pytest.mark.parametrize('latent_eval', ['mode', 'sample'])
def test_one_call_finds_what_the_model_finds(load_untrained, photographs, latent_eval, tmp_path):
    segmenter = load_untrained('_base_/models/ref_ldm_seg_tiny-1')
    segmenter.model.latent_eval = latent_eval
    runtime = load(segmenter.export(tmp_path / 'model'), threads=1)
    for concepts in (1, 2):
        check(segmenter, runtime, photographs, concepts=concepts)
    assert runtime.asks == 'examples'
    with pytest.raises(ValueError, match=r'show what to look for, such as examples='):
        runtime(photographs[0])
    with pytest.raises(ValueError, match='takes no text: show by examples'):
        runtime(photographs[0], text='a cat')
    assert runtime.settings == dict(seed=0) == segmenter.settings
    for name in ('generations', 'steps'):
        with pytest.raises(ValueError, match=f'has no {name} to set: leave {name} out'):
            runtime(photographs[0], **{name: 2})


@pytest.mark.recipe
@pytest.mark.parametrize('guidance', [dict(query=1.5, prompt=7.0), dict(query=0.0, prompt=0.0)])
def test_a_chain_finds_what_the_model_finds(load_untrained, photographs, guidance, tmp_path):
    segmenter = load_untrained('_base_/models/ref_ldm_seg_tiny-n')
    segmenter.model.guidance = guidance
    runtime = load(segmenter.export(tmp_path / 'model', steps=[3]), threads=1)
    assert list(runtime.loop['chains']) == ['3', '20']
    check(segmenter, runtime, photographs, concepts=1)
    check(segmenter, runtime, photographs, concepts=2, steps=3, seed=4)


def test_what_cannot_be_exported_is_refused(load_untrained, tmp_path):
    segmenter = load_untrained('_base_/models/ref_ldm_seg_tiny-1')
    with pytest.raises(ValueError, match='makes squares of 64 pixels of them: leave size out'):
        segmenter.export(tmp_path / 'model', size=(64, 64))
    with pytest.raises(ValueError, match='RefLDMSegOneStep has no int8'):
        segmenter.export(tmp_path / 'model', precision='int8', calibration='pictures')
    segmenter.model.noise_t = (5, 10)
    with pytest.raises(ValueError, match=r'noise_t=\(5, 10\) cannot be exported'):
        segmenter.export(tmp_path / 'model')
