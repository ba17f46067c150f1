import gzip
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from mmdiffseg.models.latent.autoencoder import decode_latent, encode_image, stride
from mmdiffseg.models.latent.stable_diffusion import load_scheduler, load_unet, load_vae

pytest.importorskip('diffusers')
RELEASED = Path(__file__).parents[2] / 'data/ref_ldm_seg_released.json.gz'


def shapes(module):
    return {name: list(value.shape) for name, value in module.state_dict().items()}


def test_parts_are_read_with_their_weights(diffusion_folder):
    source = str(diffusion_folder)
    vae, unet = load_vae(source), load_unet(source)
    assert torch.equal(unet.conv_in.weight, load_unet(source).conv_in.weight)
    assert not torch.equal(unet.conv_in.weight, load_unet(source, weights=False).conv_in.weight)
    assert not vae.training and not any(p.requires_grad for p in vae.parameters())
    assert all(p.requires_grad for p in unet.parameters())


def test_half_precision_files_become_float32(diffusion_folder, tmp_path):
    load_unet(str(diffusion_folder)).half().save_pretrained(tmp_path / 'unet')
    assert load_unet(str(tmp_path)).dtype == torch.float32


def test_schedule_is_that_of_stable_diffusion_and_never_clips(diffusion_folder):
    scheduler = load_scheduler(str(diffusion_folder))
    assert type(scheduler).__name__ == 'DDPMScheduler' and not scheduler.config.clip_sample
    expected = torch.tensor([0.99915, 0.27633, 0.0081550, 0.0046601])
    torch.testing.assert_close(
        scheduler.alphas_cumprod[[0, 500, 951, 999]], expected, rtol=1e-4, atol=0
    )
    assert type(load_scheduler(str(diffusion_folder), kind='DDIMScheduler')).__name__ == (
        'DDIMScheduler'
    )
    with pytest.raises(ValueError, match="no scheduler 'MyScheduler'"):
        load_scheduler(str(diffusion_folder), kind='MyScheduler')


def test_real_width_from_configurations(sd_15_folder):
    with torch.device('meta'):
        unet = load_unet(str(sd_15_folder), weights=False)
        vae = load_vae(str(sd_15_folder), weights=False)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert shapes(vae) == json.loads(gzip.decompress(RELEASED.read_bytes()))['vae']
    assert stride(vae) == 8 and vae.config.scaling_factor == 0.18215


def test_missing_folders_and_parts_are_said(diffusion_folder, sd_15_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no Stable Diffusion folder './nowhere'"):
        load_vae('./nowhere')
    with pytest.raises(FileNotFoundError, match='lacks vae/config.json'):
        load_vae(str(diffusion_folder / 'unet'))
    with pytest.raises(FileNotFoundError, match='has a configuration and no readable weights'):
        load_unet(str(sd_15_folder))
    folder = tmp_path / 'bare'
    shutil.copytree(diffusion_folder / 'vae', folder / 'vae')
    with pytest.raises(FileNotFoundError, match='lacks scheduler/scheduler_config.json'):
        load_scheduler(str(folder))


def test_unreachable_hub_is_said(monkeypatch):
    from diffusers import AutoencoderKL

    def unreachable(*args, **kwargs):
        raise OSError('no route')

    monkeypatch.setattr(AutoencoderKL, 'from_pretrained', unreachable)
    with pytest.raises(FileNotFoundError, match="vae of 'owner/name' .* nor on the hub: download"):
        load_vae('owner/name')


@pytest.mark.parametrize(
    'change', [dict(cross_attention_dim=1024), dict(use_linear_projection=True)]
)
def test_stable_diffusion_2_is_refused(sd_15_folder, change):
    path = sd_15_folder / 'unet/config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with torch.device('meta'), pytest.raises(ValueError, match='is a Stable Diffusion 2 model'):
        load_unet(str(sd_15_folder), weights=False)


def test_missing_extra_is_named(diffusion_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'diffusers', None)
    with pytest.raises(ImportError, match=r'diffusers is missing .*pip install -e "\.\[latent\]"'):
        load_vae(str(diffusion_folder))


def test_latents_are_drawn_or_their_mode(diffusion_folder):
    vae = load_vae(str(diffusion_folder))
    image, noise = torch.rand(2, 3, 32, 64) * 2 - 1, torch.randn(2, 4, 8, 16)
    posterior = vae.encode(image).latent_dist
    assert torch.equal(encode_image(vae, image), posterior.mode())
    drawn = encode_image(vae, image, noise)
    torch.testing.assert_close(drawn, posterior.mean + posterior.std * noise)
    latent = drawn.requires_grad_()
    decode_latent(vae, latent).square().sum().backward()
    assert latent.grad.abs().sum() > 0
