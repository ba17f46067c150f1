"""Looking for concepts with the tiny world, whose answers mean nothing before it was trained."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

pytest.importorskip('diffusers')
pytest.importorskip('transformers')

from mmdiffseg.apis.in_context_inferencer import InContextInferencer, read_mask  # noqa: E402

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def picture(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(height, width, value=1):
    y, x = np.ogrid[:height, :width]
    return value * (np.hypot(y - height / 2, x - width / 2) < height / 4).astype(np.uint8)


@pytest.fixture(scope='module')
def config():
    config = Config.fromfile(ROOT / 'configs/_base_/models/ref_ldm_seg_tiny-1.py')
    config.model.stable_diffusion = str(ROOT / 'demo/tiny_world')
    config.model.prompt_encoder.checkpoint = str(ROOT / 'demo/tiny_world/alpha_clip')
    return config


@pytest.fixture(scope='module')
def inferencer(config):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='not trained, so its masks mean nothing'):
        return InContextInferencer(config, device='cpu')


def test_masks_have_the_size_of_their_pictures_whatever_the_batch(inferencer):
    concept = inferencer.encode([picture(50, 70), picture(64, 64)], [disc(50, 70), disc(64, 64)])
    queries = [picture(40, 90), picture(75, 33), picture(64, 64)]
    together = inferencer(queries, dict(thing=concept))
    alone = inferencer(queries, dict(thing=concept), batch_size=1)
    for query, one, other in zip(queries, together, alone, strict=True):
        labels = one.pred_sem_seg.data[0]
        assert labels.shape == query.shape[:2]
        assert set(labels.unique().tolist()) <= {0, 1}
        torch.testing.assert_close(one.seg_logits.data, other.seg_logits.data, rtol=0, atol=1e-4)


def test_prompts_are_encoded_once(inferencer, monkeypatch):
    concept = inferencer.encode([picture(64, 64)], [disc(64, 64)])
    monkeypatch.setattr(inferencer.model, 'encode_prompts', None)
    assert len(inferencer([picture(64, 64)] * 3, dict(thing=concept))) == 3


def test_several_concepts_share_one_map(inferencer):
    first, second = (
        inferencer.encode([picture(64, 64)], [disc(64, 64, value)]) for value in (1, 255)
    )
    (sample,) = inferencer([picture(48, 64)], dict(a=first, b=second))
    logits = sample.seg_logits.data
    assert logits.shape == (3, 48, 64)
    assert torch.equal(sample.pred_sem_seg.data[0], logits.argmax(dim=0))


def test_video_keeps_the_labels_of_its_first_frame(inferencer, tmp_path):
    labels = disc(64, 64, 7)
    labels[:8] = 3
    for number in range(3):
        Image.fromarray(picture(64, 64)).save(tmp_path / f'{number:05d}.png')
    frames = list(inferencer.video(tmp_path, labels, batch_size=1))
    assert [path.name for path, _ in frames] == ['00001.png', '00002.png']
    found = torch.cat([sample.pred_sem_seg.data for _, sample in frames]).unique().tolist()
    assert set(found) <= {0, 3, 7} and len(found) > 1


@pytest.mark.parametrize(
    'images, masks, words',
    [
        ([], [], 'a concept needs prompts'),
        ([picture(9, 9)], [], 'got 1 pictures and 0 masks'),
        ([picture(9, 9)], [disc(8, 9)], 'is 9x9 and its mask 9x8'),
        ([picture(9, 9)], [np.zeros((9, 9), int)], 'is empty'),
        ([picture(9, 9)], [np.full((9, 9), np.nan)], r'whole numbers from 0, got float64 \(9, 9\)'),
        ([picture(9, 9)], [np.full((9, 9), -1)], 'got int64 .* from -1'),
        ([picture(9, 9)], [disc(9, 9)[None]], r'got uint8 \(1, 9, 9\)'),
        ([picture(9, 9) / 255], [disc(9, 9)], r'\(H, W, 3\) uint8 RGB, got float64 \(9, 9, 3\)'),
        (picture(9, 9), disc(9, 9), 'put a single one in brackets'),
    ],
)
def test_what_is_wrong_with_prompts_is_said(inferencer, images, masks, words):
    with pytest.raises(ValueError, match=words):
        inferencer.encode(images, masks)


def test_what_is_wrong_with_queries_is_said(inferencer, tmp_path):
    concepts = dict(thing=inferencer.encode([picture(9, 9)], [disc(9, 9) > 0]))
    empty, text = tmp_path / 'empty.png', tmp_path / 'text.png'
    empty.write_bytes(b'')
    text.write_text('no picture')
    for images, options, words in [
        ([picture(9, 9)], dict(batch_size=-1), 'at least 1, got -1'),
        ([np.full((9, 9, 3), np.nan)], {}, 'uint8 RGB, got float64'),
        ([picture(9, 9)[..., 0]], {}, r'got uint8 \(9, 9\)'),
        ('c.jpg', {}, 'put a single one in brackets'),
        ([empty], {}, 'empty.png cannot be read as a picture'),
        ([text], {}, 'text.png cannot be read as a picture'),
    ]:
        with pytest.raises(ValueError, match=words):
            inferencer(images, concepts, **options)
    with pytest.raises(ValueError, match='encode at least one concept'):
        inferencer([picture(9, 9)], {})


def test_other_models_are_refused(config):
    other = Config(dict(model=config.model.prompt_encoder))
    with pytest.raises(ValueError, match='CLIPPromptEncoder is not an in-context model'):
        InContextInferencer(other, device='cpu')


def test_masks_are_labels_not_colours(tmp_path):
    Image.fromarray(picture(4, 4)).save(tmp_path / 'colours.png')
    with pytest.raises(ValueError, match='a picture of mode RGB'):
        read_mask(tmp_path / 'colours.png')
    palette = Image.fromarray(disc(8, 8, 5), mode='P')
    palette.putpalette([200, 10, 10] * 256)
    palette.save(tmp_path / 'labels.png')
    assert set(np.unique(read_mask(tmp_path / 'labels.png'))) == {0, 5}


def test_one_frame_is_no_video(inferencer, tmp_path):
    with pytest.raises(ValueError, match='holds 0 pictures'):
        next(inferencer.video(tmp_path, disc(8, 8)))
    for number in range(2):
        Image.fromarray(picture(8, 8)).save(tmp_path / f'{number}.png')
    with pytest.raises(ValueError, match='mask of the first frame, picture, is empty'):
        next(inferencer.video(tmp_path, disc(8, 8, 0)))


@pytest.fixture
def demo(inferencer, config, tmp_path, monkeypatch):
    """Runs the demo on a checkpoint, writing to ``out``."""
    config.dump(tmp_path / 'config.py')
    torch.save(dict(state_dict=inferencer.model.state_dict()), tmp_path / 'model.pth')

    def run(*arguments):
        files = (tmp_path / 'config.py', tmp_path / 'model.pth')
        options = ('--device', 'cpu', '--out', tmp_path / 'out')
        argv = ['demo', *map(str, (*files, *options, *arguments))]
        monkeypatch.setattr(sys, 'argv', argv)
        runpy.run_path(str(ROOT / 'demo/in_context_demo.py'), run_name='__main__')

    return run


def save(path, pixels):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_demo_answers_and_overwrites_nothing(demo, tmp_path, refusal):
    prompt = save(tmp_path / 'a.png', picture(90, 40)), save(tmp_path / 'mask.png', disc(90, 40))
    query = save(tmp_path / 'out/c.png', picture(50, 70))
    before = query.read_bytes()
    concepts = ('--concept', 'cat', *prompt, '--concept', 'dog', *prompt)
    demo('--queries', query, *concepts)
    assert query.read_bytes() == before
    assert np.array(Image.open(tmp_path / 'out/labels/c.png')).shape == (50, 70)
    page = np.array(Image.open(tmp_path / 'out/pages/c.png'))
    assert page.shape[1] > 4 * 256  # two prompts, the query, the answer
    blue, orange = (31, 119, 180), (255, 127, 14)
    assert all((page[-30:] == colour).all(axis=2).sum() > 50 for colour in (blue, orange))  # legend

    with refusal('c.png exists: choose another --out, or add --overwrite'):
        demo('--queries', query, *concepts)
    demo('--queries', query, *concepts, '--overwrite')
    with refusal('labels/c.png is an input: choose another --out'):
        label = tmp_path / 'out/labels/c.png'
        demo('--queries', query, '--concept', 'cat', prompt[0], label, '--overwrite')
    with refusal('2 pictures are called c: rename them'):
        demo('--queries', query, save(tmp_path / 'b/c.png', picture(9, 9)), *concepts)
    with refusal('there is no file .*nowhere.png'):
        demo('--queries', tmp_path / 'nowhere.png', *concepts)
    with refusal('the prompt .*a.png is 40x90 and its mask 8x8'):
        small = save(tmp_path / 'small.png', disc(8, 8))
        demo('--queries', prompt[0], '--concept', 'cat', prompt[0], small)


def test_demo_refuses_two_concepts_of_one_name(demo, capsys):
    with pytest.raises(SystemExit):
        demo('--queries', 'c.png', *('--concept', 'cat', 'a.png', 'b.png') * 2)
    assert (
        '--concept cat is given 2 times: put all its prompts behind one' in capsys.readouterr().err
    )


def test_demo_follows_the_labels_of_davis(demo, tmp_path):
    for number in range(2):
        save(tmp_path / f'frames/{number:05d}.jpg', picture(64, 64))
    mask = save(tmp_path / '00000.png', disc(64, 64, 255))
    demo('--video', tmp_path / 'frames', '--first-mask', mask)
    labels = np.array(Image.open(tmp_path / 'out/labels/00001.png'))
    assert labels.shape == (64, 64) and set(np.unique(labels)) <= {0, 255}


def test_demo_keeps_labels_beyond_a_byte(demo, tmp_path):
    for number in range(2):
        save(tmp_path / f'frames/{number:05d}.jpg', picture(64, 64))
    mask = save(tmp_path / '00000.png', np.full((64, 64), 300, np.uint16))
    demo('--video', tmp_path / 'frames', '--first-mask', mask)
    labels = np.array(Image.open(tmp_path / 'out/labels/00001.png'))
    assert set(np.unique(labels)) <= {0, 300}
