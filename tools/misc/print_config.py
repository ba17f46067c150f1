"""Print a config with all its bases, and on request the model built from it.

python tools/misc/print_config.py CONFIG --cfg-options model.decode_head.steps=10
"""

from argparse import Namespace

from mmdiffseg.engine import command_line


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--graph', action='store_true', help='print the modules of the model too')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def main(args: Namespace) -> None:
    """Print."""
    cfg = command_line.read_config(args.config, args.cfg_options)
    print(cfg.pretty_text)
    if args.graph:
        from mmengine.registry import MODELS, init_default_scope

        init_default_scope(cfg.get('default_scope', 'mmseg'))
        print(MODELS.build(cfg.model))


if __name__ == '__main__':
    command_line.run(main, parse_args)
