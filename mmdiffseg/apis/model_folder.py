"""A model to share: a folder with weights, config, card and picture, none of which is code."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from mmdiffseg.compat.stored_config import check_plain_config
from mmdiffseg.version import __version__

if TYPE_CHECKING:  # a folder is read, and told of, without torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

WEIGHTS, CONFIG, CARD, PICTURE = 'model.safetensors', 'config.json', 'README.md', 'picture.png'
#: marks a tuple, which JSON does not know
TUPLE = '__tuple__'


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """What :func:`read_model_folder` has read.

    Attributes:
        config: The whole config of the model, plain data.
        meta: ``classes``, ``palette`` and whatever else was told of the model.
        weights: File of the weights.
        version: The mmdiffseg that wrote it.
    """

    config: dict[str, Any]
    meta: dict[str, Any]
    weights: Path
    version: str


def write_model_folder(
    folder: str | os.PathLike,
    *,
    model: 'nn.Module',
    config: Config | Mapping[str, Any],
    meta: Mapping[str, Any],
    card: Mapping[str, Any],
    picture: 'NDArray | None' = None,
    half: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a model to share.

    Args:
        folder: Folder to write.
        model: The trained model.
        config: Its config.
        meta: Plain data about it, such as ``classes`` and ``palette``.
        card: What the card tells, see :func:`model_card`.
        picture: A page (H, W, 3) uint8 RGB for the card.
        half: Store the weights as float16, at half the size.
        overwrite: Replace files of an earlier model.

    Returns:
        The folder.

    Raises:
        FileExistsError: The folder holds anything, and ``overwrite`` is not given.
        ValueError: The config is no plain data or names code outside of OpenMMLab, or a weight is
            not finite, maybe only as float16.
    """
    from PIL import Image
    from safetensors.torch import save

    from mmdiffseg.apis.model_card import model_card

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file: choose a folder for the model')
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise FileExistsError(
            f'{folder} is not empty: choose another folder, or replace the model by overwrite=True '
            '(--overwrite)'
        )
    config = config.to_dict() if isinstance(config, Config) else dict(config)
    try:
        check_plain_config(config)
    except ValueError as error:
        raise ValueError(
            f'the model cannot be shared as a folder, which holds no code: {error}'
        ) from error
    plain = dict(mmdiffseg=__version__, config=_plain(config, 'config'), meta=_plain(meta, 'meta'))
    # not sorted: the order of losses and hooks is that of the config
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=True)
    weights = {name: _stored(name, value, half) for name, value in model.state_dict().items()}
    page = model_card(
        card, meta=meta, model=model, picture=PICTURE if picture is not None else None
    )

    folder.mkdir(parents=True, exist_ok=True)
    # by Python, since safetensors lets nobody else read the files it makes
    (folder / WEIGHTS).write_bytes(save(weights, metadata=dict(format='pt')))
    (folder / CONFIG).write_text(text, encoding='utf-8')
    if picture is not None:
        Image.fromarray(picture).save(folder / PICTURE, optimize=True)
    (folder / CARD).write_text(page, encoding='utf-8')
    return folder


def read_model_folder(folder: str | os.PathLike) -> ModelFolder:
    """Read a model folder, without running anything that it holds.

    Raises:
        FileNotFoundError: The folder or one of its files is missing.
        ValueError: ``config.json`` is damaged or could run code.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} is not a folder: give a model folder, which has a config.json and weights'
        )
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'{folder} is not a model folder, it has no {" and no ".join(missing)}: mmdiffseg '
            'convert makes one of a config and a checkpoint'
        )
    file = folder / CONFIG
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{file} is damaged: {error}') from error
    parts = [content.get(key) for key in ('config', 'meta')] if isinstance(content, dict) else []
    if len(parts) < 2 or not all(isinstance(part, dict) for part in parts):
        raise ValueError(f'{file} is not a config of mmdiffseg: it has no config and meta')
    config, meta = map(_restored, parts)
    try:
        check_plain_config(config)
    except ValueError as error:
        raise ValueError(f'{file} is not used, because it could run code: {error}') from error
    if not isinstance(config.get('model'), dict):
        raise ValueError(f'{file} has no model in its config')
    return ModelFolder(
        config=config, meta=meta, weights=folder / WEIGHTS, version=str(content.get('mmdiffseg'))
    )


def load_weights(model: 'nn.Module', file: Path) -> None:
    """Copy the weights of a model folder into its model; floats are cast to those of the model.

    Raises:
        ValueError: The file is damaged, a weight is not finite, or they do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from mmdiffseg.models.weights import load_exactly

    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ValueError(f'{file} is damaged or not a safetensors file: {error}') from error
    for name, value in weights.items():
        _check_finite(name, value, str(file))
    load_exactly(model, weights, source=str(file))


def _stored(name: str, value: 'Tensor', half: bool) -> 'Tensor':
    import torch

    # a copy, because two names of one tensor cannot be stored
    value = value.detach().cpu().clone().contiguous()
    if half and value.dtype == torch.float32:
        value = value.half()
    _check_finite(name, value, 'the model' + (' as float16' if half else ''))
    return value


def _check_finite(name: str, value: 'Tensor', source: str) -> None:
    if value.is_floating_point() and not value.isfinite().all():
        raise ValueError(
            f'{source} holds weights that are not finite, such as {name}: take an earlier '
            'checkpoint' + (', or leave out half=True' if 'float16' in source else '')
        )


def _plain(value: Any, place: str) -> Any:
    """Plain data as JSON knows it, with tuples marked."""
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise ValueError(f'{place} has the key {wrong[0]!r}: a model folder stores names only')
        return {key: _plain(item, f'{place}.{key}') for key, item in value.items()}
    if isinstance(value, tuple):
        return {TUPLE: [_plain(item, place) for item in value]}
    if isinstance(value, list):
        return [_plain(item, place) for item in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ValueError(
        f'{place} is {value!r} ({type(value).__name__}): a model folder stores numbers, texts, '
        'lists and dicts'
    )


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {TUPLE}:
            return tuple(map(_restored, value[TUPLE]))
        return {key: _restored(item) for key, item in value.items()}
    return [_restored(item) for item in value] if isinstance(value, list) else value
