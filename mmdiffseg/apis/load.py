"""Load a model by name, folder, hub id, or config and checkpoint."""

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdiffseg.apis.model_folder import CARD, CONFIG, WEIGHTS, load_weights, read_model_folder
from mmdiffseg.compat.stored_config import check_plain_config, read_config
from mmdiffseg.engine.command_line import as_config
from mmdiffseg.engine.launch import import_models

if TYPE_CHECKING:  # the networks are imported when it is known which
    from torch import nn

    from mmdiffseg.apis.segmenter import Segmenter

ZOO = Path(__file__).resolve().parents[1] / 'zoo'
HUB_ID = re.compile(r'(?P<id>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?')
#: counts the batches of training, so that some checkpoints lack it
COUNTERS = r'.*num_batches_tracked'


def load(
    source: str | os.PathLike | None = None,
    *,
    config: str | os.PathLike | Config | None = None,
    checkpoint: str | os.PathLike | None = None,
    device: str | None = None,
    precision: str = 'fp32',
) -> 'Segmenter':
    """Load a model.

    Args:
        source: Name of a shipped model, a model folder, or ``owner/name`` of the Hugging Face Hub,
            pinned by ``owner/name@revision``. What the Hub gave once is found offline again.
        config: Config of mmseg or mmdet, or its file, instead of a ``source``.
        checkpoint: Its weights, a file or URL; without them the results mean nothing. With a
            checkpoint alone, the config is the one that lies in it.
        device: Where to run; by default a GPU if there is one.
        precision: See :class:`Segmenter`.

    Raises:
        FileNotFoundError: There is no such model or file.
        ValueError: The model is damaged, its weights do not fit, or it carries the guarantee of
            another model.

    Example:
        >>> model = mmdiffseg.load('nuclei')
        >>> result = model('cells.png')
        >>> result.save('out')
    """
    if (source is None) == (config is None and checkpoint is None):
        raise ValueError('give either the name or folder of a model, or a config and checkpoint')
    if source is not None:
        found = read_model_folder(find_model(source))
        config, weights = Config(found.config), {}
    else:
        weights = {} if checkpoint is None else _read_checkpoint(checkpoint)
        config = _config_of(config, weights, checkpoint)
    model = build_model(config)

    import torch

    from mmdiffseg.apis.classes import describe_classes
    from mmdiffseg.apis.segmenter import Segmenter
    from mmdiffseg.models.weights import load_exactly

    if source is not None:
        load_weights(model, found.weights)
        classes = describe_classes(model, config, found.meta)
        meta = {**found.meta, **classes, 'source': str(source)}
    else:
        if checkpoint is None:
            warnings.warn(
                'the model is not trained, so its results mean nothing: give a checkpoint',
                stacklevel=2,
            )
        else:
            load_exactly(model, weights['state_dict'], source=str(checkpoint), fresh=COUNTERS)
        stored = weights.get('meta', {})
        meta = describe_classes(model, config, stored.get('dataset_meta'))
        meta |= {'source': str(checkpoint or 'untrained')}
        if stored.get('guarantee'):
            meta['guarantee'] = stored['guarantee']
    if meta.get('guarantee'):
        _check_guarantee(meta, model)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return Segmenter(model=model, config=config, meta=meta, device=device, precision=precision)


def load_given(text: str) -> 'Segmenter':
    """Load the model that a command line names: see :func:`load`, or ``CONFIG,CHECKPOINT``."""
    config, found, checkpoint = text.partition(',')
    return load(config=config, checkpoint=checkpoint) if found else load(text)


def _read_checkpoint(file: str | os.PathLike) -> dict:
    from mmdiffseg.compat.checkpoint import load_checkpoint_file

    return load_checkpoint_file(file)


def _check_guarantee(meta: dict, model: 'nn.Module') -> None:
    from mmdiffseg.evaluation.conformal import check_guarantee, fingerprint

    # what it says of the steps is looked at when the model is asked, which may change them
    check_guarantee({**meta['guarantee'], 'settings': {}}, model=fingerprint(model), settings={})


def shipped_models() -> dict[str, Path]:
    """The models that come with this package: their folders by name."""
    return {path.parent.name: path.parent for path in sorted(ZOO.glob(f'*/{CONFIG}'))}


def find_model(source: str | os.PathLike) -> Path:
    """Find the folder of a model, downloading it from the Hub if need be; see :func:`load`."""
    text, shipped = os.fspath(source), shipped_models()
    if text in shipped:
        return shipped[text]
    path = Path(text).expanduser()
    hub = HUB_ID.fullmatch(text)
    if path.exists() or hub is None or path.parent.is_dir():
        if not path.exists():
            raise FileNotFoundError(
                f'there is no model {text}: give one of those shipped '
                f'({", ".join(shipped) or "none"}), a model folder, or owner/name of the Hub'
            )
        return path
    return _from_hub(hub['id'], hub['revision'])


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=[WEIGHTS, CONFIG, CARD])
    except Exception as error:  # the library raises some ten kinds, by what the network does
        at = f' at {revision}' if revision else ''
        cause = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f'{name}{at} is neither a folder here nor to be had from the Hub: {cause}'
        ) from error
    return Path(folder)


def _config_of(
    config: str | os.PathLike | Config | None, checkpoint: dict, source: str | os.PathLike | None
) -> Config:
    if config is not None:
        return as_config(config)
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(f'{source} holds no config: give the one it was trained with')
    try:
        plain = read_config(text)
        check_plain_config(plain)
    except ValueError as error:
        raise ValueError(f'the config stored in {source} is not used: {error}') from error
    return Config(plain)


def build_model(config: Config) -> 'nn.Module':
    """Build the model of a config, without the weights that its training began with."""
    if 'model' not in config:
        raise ValueError('the config has no model: give the config of one')
    import_models(config)

    from mmengine.model import revert_sync_batchnorm

    scope = config.get('default_scope', 'mmseg')
    settings = (
        {**config.model, 'pretrained': None} if 'pretrained' in config.model else config.model
    )
    with DefaultScope.overwrite_default_scope(scope):
        return revert_sync_batchnorm(MODELS.build(settings))
