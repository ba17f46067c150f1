"""The shipped tiny world loads as what it claims to be and does what its README says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('diffusers')
pytest.importorskip('transformers')
REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / 'demo/tiny_world/scripts'))
import train_alpha_clip  # noqa: E402
import train_clip  # noqa: E402
import train_text_to_image  # noqa: E402
import train_vae  # noqa: E402
from captions import draw_caption  # noqa: E402
from evaluate import load_diffusion, measure_expressions, vae_quality  # noqa: E402
from scenes import VAL, paint_pool  # noqa: E402
from shapes_language import WORDS  # noqa: E402
from train_clip import load_clip  # noqa: E402

from mmdiffseg.models.in_context.prompt_encoder import load_vision_tower  # noqa: E402

FOLDER = REPO / 'demo/tiny_world'


@pytest.fixture(scope='module')
def scenes():
    return paint_pool(8, VAL).take(np.arange(8))


@pytest.fixture(scope='module')
def pipeline():
    return load_diffusion(FOLDER)


def test_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob('*')) < 12e6


@torch.no_grad()
def test_parts_fit_each_other(pipeline):
    x = torch.zeros(1, 3, 64, 64)
    z = pipeline.vae.encode(x).latent_dist.mode()
    tokens = pipeline.tokenizer('the red circle', padding='max_length', return_tensors='pt')
    words = pipeline.text_encoder(tokens.input_ids).last_hidden_state
    assert z.shape == pipeline.unet(z, 51, words).sample.shape == (1, 4, 16, 16)
    assert words.shape == (1, 32, 64)
    assert pipeline.vae.decode(z).sample.shape == x.shape
    made = pipeline('a red circle', num_inference_steps=2, output_type='np').images
    assert made.shape == (1, 64, 64, 3)


def test_schedule_is_stable_diffusions(pipeline):
    alphas = pipeline.scheduler.alphas_cumprod
    assert alphas[[0, 1, 51, 101]].tolist() == pytest.approx(
        [0.9991, 0.9983, 0.9505, 0.893], abs=1e-4
    )


def test_tokenizers_know_every_word_of_shapes(pipeline):
    _, clip_tokenizer = load_clip(FOLDER)
    for tokenizer in (pipeline.tokenizer, clip_tokenizer):
        ids = tokenizer(' '.join(WORDS[:28])).input_ids + tokenizer(' '.join(WORDS[28:])).input_ids
        assert tokenizer.unk_token_id not in ids
        assert set(range(1, len(tokenizer))) == set(ids)
        assert tokenizer('The RED circle, ').input_ids == tokenizer('the red circle').input_ids
        assert tokenizer('a zebra').input_ids[2] == tokenizer.unk_token_id
        assert tokenizer.eos_token_id == tokenizer.pad_token_id == len(tokenizer) - 1


def test_clip_tokens_form_a_grid():
    clip, _ = load_clip(FOLDER)
    with torch.no_grad():
        tokens = clip.vision_model(torch.zeros(1, 3, 64, 64)).last_hidden_state
    assert tokens.shape == (1, 1 + 8 * 8, 96)


def test_pseudo_masks_survive_the_vae(pipeline, scenes):
    quality = vae_quality(pipeline.vae, scenes)
    assert quality['psnr'] > 22
    assert quality['mask_iou_0.0'] > 0.85 and quality['mask_iou_0.4'] > 0.85


def test_words_are_found(scenes):
    figures = measure_expressions(FOLDER, scenes)
    for kind in ('colour', 'attribute'):
        assert figures[kind]['chance'] < 0.45
        assert figures[kind]['attention 16'] > figures[kind]['chance'] + 0.1
        assert figures[kind]['clip'] > 0.85


def test_captions_name_what_is_there(scenes):
    rng = np.random.default_rng(0)
    for _ in range(50):
        for things in scenes.things:
            caption = draw_caption(things, rng)
            assert caption.meant and len(caption.words) <= 30
            assert set(caption.words) <= set(WORDS)
            for position, numbers in caption.meant.items():
                word = caption.words[position]
                assert numbers
                for number in numbers:
                    thing = things[number]
                    assert word in (thing.color, thing.shape, 'shape')


def test_trainings_write_a_world(monkeypatch, tmp_path, capsys):
    out = tmp_path / 'world'
    for part in (train_vae, train_text_to_image, train_clip, train_alpha_clip):
        argv = ['train', '--out', str(out), '--iters', '2', '--scenes', '8']
        monkeypatch.setattr(sys, 'argv', argv)
        part.main()
        with pytest.raises(SystemExit, match='exists: add --overwrite to replace it'):
            part.main()
    assert load_diffusion(out).unet.config.cross_attention_dim == 64
    clip, _ = load_clip(out)
    assert clip.config.vision_config.hidden_size == 96
    tower = load_vision_tower(str(out / 'alpha_clip'))
    assert tower.config.num_channels == 4
    assert '2/2' in capsys.readouterr().out


def test_text_to_image_needs_a_vae(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['train', '--out', str(tmp_path)])
    with pytest.raises(SystemExit, match=r'vae is missing: run train_vae\.py --out'):
        train_text_to_image.main()
