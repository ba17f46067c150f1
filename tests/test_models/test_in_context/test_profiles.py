import gzip
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

pytest.importorskip('diffusers')
pytest.importorskip('peft')
ROOT = Path(__file__).parents[3]
RELEASED = json.loads(
    gzip.decompress((ROOT / 'tests/data/ref_ldm_seg_released.json.gz').read_bytes())
)
LORA, ADAPTERS, CONV_IN = 797_184, 12_595_200, 8 * 320 * 9 + 320


@pytest.fixture
def build(sd_15_folder):
    """Builds a profile at its real width, without memory."""

    def build(name):
        model = Config.fromfile(ROOT / f'configs/_base_/models/ref_ldm_seg_{name}.py').model
        channels = 4 if 'alpha' in model.prompt_encoder.checkpoint else 3
        path = sd_15_folder / 'clip/config.json'
        path.write_text(json.dumps(dict(json.loads(path.read_text()), num_channels=channels)))
        model.update(stable_diffusion=str(sd_15_folder), weights=False)
        model.prompt_encoder.update(checkpoint=str(path.parent), weights=False)
        with torch.device('meta'):
            return MODELS.build(model)

    return build


def size(tensors):
    return sum(value.numel() for value in tensors)


@pytest.mark.parametrize(('name', 'parameters'), [('ldis-1', 860_308_164), ('ldis-n', 860_319_684)])
def test_released_profiles_have_the_released_unet(build, name, parameters):
    model = build(name)
    assert size(model.unet.parameters()) == parameters
    shapes = {name: list(value.shape) for name, value in model.unet.state_dict().items()}
    assert shapes == RELEASED[f'{name.replace("-", "")}_unet']
    assert size(model.vae.parameters()) == 83_653_863
    # all of Alpha-CLIP's tower but the projection that nothing here uses
    assert size(model.prompt_encoder.parameters()) == 304_166_912 - 1024 * 768
    assert model.prompt_encoder.sees_mask and model.prompt_encoder.grid == 16
    assert model.state_dict().keys() == {
        'pseudo_mask.settings',
        *(f'unet.{name}' for name in shapes),
    }


@pytest.mark.parametrize(
    ('name', 'parameters', 'mask_alpha'),
    [
        ('v1-f-latent', LORA + ADAPTERS, 0.0),
        ('v1-f-pixel', LORA + ADAPTERS, 0.0),
        ('v1-n', LORA + ADAPTERS + CONV_IN, 0.4),
    ],
)
def test_checkpoints_of_the_first_version_are_small(build, name, parameters, mask_alpha):
    model = build(name)
    saved = model.state_dict()
    assert saved['pseudo_mask.settings'].tolist() == pytest.approx([-1, 1, mask_alpha])
    assert size(saved.values()) == parameters + 3 and 4 * size(saved.values()) < 60e6
    assert not model.prompt_encoder.sees_mask
    assert ('unet.conv_in.weight' in saved) == (name == 'v1-n')
    if name != 'v1-n':
        space = name.rsplit('-', 1)[1]
        assert model.loss_space == space
