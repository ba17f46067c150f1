"""Use an installed mmdiffseg from an empty folder, with no file of the repository at hand.

    python tools/misc/try_installation.py

Exits with an error at the first thing that an installation lacks.
"""

import re
import resource
import sys
import time
from importlib.metadata import entry_points, metadata
from importlib.resources import files
from pathlib import Path

import numpy as np
from mmengine.hub import get_config, get_model

import mmdiffseg

HUB = ('ddp/ddp_r18_shapes.py', 'segdiff/segdiff_shapes.py')


def check_files() -> None:
    """What is no code: type marker, configs, tools, the tiny world, the front page."""
    package = files('mmdiffseg')
    if Path(str(package)).is_relative_to(Path(__file__).resolve().parents[2] / 'mmdiffseg'):
        sys.exit(f'{package} is the repository, not an installation')
    for name in ('py.typed', '.mim/configs', '.mim/tools/train.py', '.mim/model-index.yml'):
        if not (package / name).exists():
            sys.exit(f'the installation has no {name}')
    from mmdiffseg.models.extras import find_source

    if find_source('demo/tiny_world') == 'demo/tiny_world':
        sys.exit('the installation has no tiny world')
    relative = re.findall(r'\]\((?![a-z]+:|#)[^)]*\)', metadata('mmdiffseg').get_payload())
    if relative:
        sys.exit(f'the front page of the package index has relative links: {relative}')
    print('files: complete')


def check_models() -> None:
    """Shipped models by name and configs through mmengine's hub, one prediction each."""
    from mmdiffseg.apis.load import shipped_models

    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for name in shipped_models():
        start = time.process_time()
        model = mmdiffseg.load(name)
        # a refiner answers for a mask that somebody else made
        result = (
            model.refine(picture, picture[..., 0] > 127) if model.asks == 'mask' else model(picture)
        )
        seconds = time.process_time() - start
        if result.labels.shape != (96, 128):
            sys.exit(f'{name} answers with labels of {result.labels.shape}')
        print(f'{name}: loaded and asked in {seconds:.1f} s of CPU time')
    for name in HUB:
        model = get_model(f'mmdiffseg::{name}')  # as mmengine builds it
        segmenter = mmdiffseg.load(config=get_config(f'mmdiffseg::{name}'), device='cpu')
        result = segmenter(picture, steps=1)
        print(f'{name}: {type(model).__name__}, labels {result.labels.shape}')


def main() -> None:
    """Check everything, and tell what it took."""
    print(f'mmdiffseg {mmdiffseg.__version__} in {Path(mmdiffseg.__file__).parent}')
    check_files()
    check_models()
    print('commands:', [e.name for e in entry_points(group='console_scripts', name='mmdiffseg')])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'all in {time.process_time():.0f} s of CPU time, at most {peak:.0f} MiB of memory')


if __name__ == '__main__':
    main()
