"""Looking for concepts with the tiny world, whose answers mean nothing before it was trained."""

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
def inferencer():
    config = Config.fromfile(ROOT / 'configs/_base_/models/ref_ldm_seg_tiny-1.py')
    config.model.stable_diffusion = str(ROOT / 'demo/tiny_world')
    config.model.prompt_encoder.checkpoint = str(ROOT / 'demo/tiny_world/alpha_clip')
    torch.manual_seed(0)
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
        ([picture(9, 9)], [np.zeros((9, 9))], 'is empty'),
    ],
)
def test_what_is_wrong_with_prompts_is_said(inferencer, images, masks, words):
    with pytest.raises(ValueError, match=words):
        inferencer.encode(images, masks)


def test_nothing_to_look_for(inferencer):
    with pytest.raises(ValueError, match='encode at least one concept'):
        inferencer([picture(9, 9)], {})


def test_masks_are_labels_not_colours(tmp_path):
    Image.fromarray(picture(4, 4)).save(tmp_path / 'colours.png')
    with pytest.raises(ValueError, match='a picture in colours'):
        read_mask(tmp_path / 'colours.png')
    palette = Image.fromarray(disc(8, 8, 5), mode='P')
    palette.putpalette([200, 10, 10] * 256)
    palette.save(tmp_path / 'labels.png')
    assert set(np.unique(read_mask(tmp_path / 'labels.png'))) == {0, 5}


def test_one_frame_is_no_video(inferencer, tmp_path):
    with pytest.raises(ValueError, match='holds 0 pictures'):
        next(inferencer.video(tmp_path, disc(8, 8)))
