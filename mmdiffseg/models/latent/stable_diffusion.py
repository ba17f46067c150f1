"""The parts of a Stable Diffusion model, from its folder or from the hub.

A source is a folder that holds ``vae/``, ``unet/`` and ``scheduler/``, as diffusers saves a
pipeline, or the hub name of such a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmdiffseg.models.extras import find_source, import_extra, is_path

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel

CONFIG_FILES = {'scheduler': 'scheduler_config.json'}


def load_vae(source: str, *, weights: bool = True) -> AutoencoderKL:
    """Load the image autoencoder, in evaluation mode and without gradients.

    Args:
        source: Folder or hub name of the Stable Diffusion model.
        weights: Load the weights. Otherwise only the configuration is read, and the weights are
            random.
    """
    vae = _load(import_extra('diffusers').AutoencoderKL, source, 'vae', weights=weights)
    return vae.eval().requires_grad_(False)


def load_unet(source: str, *, weights: bool = True) -> UNet2DConditionModel:
    """Load the U-Net of a Stable Diffusion 1.x model; see :func:`load_vae`.

    Raises:
        ValueError: The U-Net is that of Stable Diffusion 2, which has other layers.
    """
    unet = _load(import_extra('diffusers').UNet2DConditionModel, source, 'unet', weights=weights)
    config = unet.config
    if config.use_linear_projection or config.cross_attention_dim == 1024:
        raise ValueError(
            f'{source} is a Stable Diffusion 2 model (cross_attention_dim '
            f'{config.cross_attention_dim}, use_linear_projection '
            f'{config.use_linear_projection}): give a 1.x one, such as '
            'stable-diffusion-v1-5/stable-diffusion-v1-5'
        )
    return unet


def load_scheduler(source: str, *, kind: str = 'DDPMScheduler') -> SchedulerMixin:
    """Load the noise schedule into a scheduler class of diffusers.

    Estimates of a latent are never clipped to [-1, 1], even where the class does so by default.

    Args:
        source: Folder or hub name of the Stable Diffusion model.
        kind: Name of the class.
    """
    loader = scheduler_class(kind)
    return loader.from_config(_load_config(loader, source, 'scheduler') | {'clip_sample': False})


def scheduler_class(kind: str) -> type[SchedulerMixin]:
    """Find a scheduler class of diffusers by its name.

    Raises:
        ValueError: diffusers has no such class.
    """
    found = getattr(import_extra('diffusers'), kind, None)
    if found is None:
        raise ValueError(f'diffusers has no scheduler {kind!r}')
    return found


def _load(loader: type, source: str, part: str, *, weights: bool):
    """Load one part with a class of diffusers, in float32."""
    if not weights:
        return loader.from_config(_load_config(loader, source, part))
    source = _find(source, part)
    try:
        return loader.from_pretrained(source, subfolder=part, use_safetensors=True).float()
    except OSError as error:
        raise _not_found(source, part) from error


def _load_config(loader: type, source: str, part: str) -> dict:
    source = _find(source, part)
    try:
        return loader.load_config(source, subfolder=part)
    except OSError as error:
        raise _not_found(source, part) from error


def _find(source: str, part: str) -> str:
    """Refuse a folder that is not there or lacks a part, before the hub is asked for it."""
    source = find_source(source)
    folder = Path(source)
    if folder.is_dir():
        name = CONFIG_FILES.get(part, 'config.json')
        if not (folder / part / name).is_file():
            raise FileNotFoundError(
                f'{source} is not a Stable Diffusion folder: it lacks {part}/{name}'
            )
    elif is_path(source):
        raise FileNotFoundError(
            f'there is no Stable Diffusion folder {source!r}: correct the path, or give a hub name '
            'such as stable-diffusion-v1-5/stable-diffusion-v1-5'
        )
    return source


def _not_found(source: str, part: str) -> FileNotFoundError:
    return FileNotFoundError(
        f'the {part} of {source!r} was found neither in a local folder, nor in the cache, nor on '
        f'the hub: download https://huggingface.co/{source} elsewhere and give the folder'
        if not Path(source).is_dir()
        else f'{source}/{part} has a configuration and no readable weights: copy them there'
    )
