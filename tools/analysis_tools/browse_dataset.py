"""Look at a training set after augmentation, with mmseg's own tool.

python tools/analysis_tools/browse_dataset.py CONFIG --output-dir pictures --not-show
"""

from argparse import Namespace

from mmdiffseg.engine import command_line, launch
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--output-dir', help='write the pictures there')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--show-interval', type=float, help='seconds a window stays')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier pictures')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def main(args: Namespace) -> None:
    """Browse."""
    cfg = command_line.read_config(args.config, args.cfg_options)
    if args.output_dir:
        claim_output_dir(args.output_dir, inputs=launch.data_folders(cfg), overwrite=args.overwrite)
        finish_output_dir(args.output_dir)
    launch.check_data_roots(cfg, 'train')
    if args.not_show and not args.output_dir:
        raise ValueError('--not-show leaves nothing to see: give --output-dir too')
    if not args.not_show:
        command_line.need_display('write pictures with --output-dir DIR --not-show')
    launch.run_mmseg_tool('analysis_tools/browse_dataset.py')


if __name__ == '__main__':
    command_line.run(main, parse_args)
