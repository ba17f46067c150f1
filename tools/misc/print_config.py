"""Print a config with all its bases, and on request the model built from it.

python tools/misc/print_config.py CONFIG --cfg-options model.decode_head.steps=10
"""

import argparse

from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, init_default_scope


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--graph', action='store_true', help='print the modules of the model too')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE'
    )
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    print(cfg.pretty_text)
    if args.graph:
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        print(MODELS.build(cfg.model))


if __name__ == '__main__':
    main()
