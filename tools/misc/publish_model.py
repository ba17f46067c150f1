"""Make a checkpoint of a training run fit to share: weights and what describes them, no more.

    python tools/misc/publish_model.py work_dirs/NAME/iter_160000.pth ddp_swin-t_ade20k.pth

writes ddp_swin-t_ade20k-0123abcd.pth, named by the first digits of its SHA-256.
"""

import hashlib
import io
from argparse import Namespace
from pathlib import Path

from mmengine.config import Config

from mmdiffseg.compat.stored_config import read_config
from mmdiffseg.engine import command_line
from mmdiffseg.version import __version__


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('in_file', type=Path, help='checkpoint of a training run')
    parser.add_argument('out_file', type=Path, help='where to write; the hash is added to the name')
    return parser.parse_args()


def publishable(checkpoint: dict, source: Path) -> dict:
    """Weights on the CPU, with the classes, the palette and the config they were trained with.

    Args:
        checkpoint: As mmengine saves it.
        source: Its file, for the message.

    Raises:
        ValueError: If it does not say what data and config it is from.
    """
    meta = checkpoint.get('meta', {})
    missing = [key for key in ('dataset_meta', 'cfg') if not meta.get(key)]
    if missing:
        raise ValueError(
            f'{source} does not hold meta.{" and meta.".join(missing)}: publish a checkpoint that '
            'tools/train.py wrote'
        )
    try:
        cfg = Config(read_config(meta['cfg']))  # data: text of a file is never run
    except ValueError as error:
        raise ValueError(f'the config stored in {source} is not used: {error}') from error
    for key in ('work_dir', 'load_from', 'resume'):  # about the run, not the model
        cfg.pop(key, None)
    return dict(
        # the names are those that mmengine's inferencers look for
        meta=dict(
            dataset_meta={key: meta['dataset_meta'].get(key) for key in ('classes', 'palette')},
            cfg=cfg.pretty_text,
            iter=meta.get('iter'),
            mmdiffseg_version=__version__,
        ),
        state_dict={key: value.cpu() for key, value in checkpoint['state_dict'].items()},
    )


def main(args: Namespace) -> None:
    """Write the published file, never over another one."""
    import torch

    from mmdiffseg.compat.checkpoint import load_checkpoint_file

    buffer = io.BytesIO()
    torch.save(publishable(load_checkpoint_file(args.in_file), args.in_file), buffer)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    path = args.out_file.with_name(f'{args.out_file.stem}-{digest[:8]}.pth')
    with path.open('xb') as file:  # x: refuses to overwrite
        file.write(buffer.getbuffer())
    print(f'Written: {path}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
