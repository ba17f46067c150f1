r"""Count multiply-adds and parameters of a model, with mmseg's own tool.

    python tools/analysis_tools/get_flops.py CONFIG --shape 512 512 \
        --cfg-options model.decode_head.steps=1

The count covers encoding and all sampling steps; two counts that differ in `steps` tell them
apart. As in mmseg it leaves out what is no matrix product, and the auxiliary head.
"""

from argparse import Namespace

from mmdiffseg.engine import command_line, launch


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape', type=command_line.positive, nargs='+', help='height and width of the input'
    )
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def main(args: Namespace) -> None:
    """Count."""
    command_line.read_config(args.config, args.cfg_options)

    from mmdiffseg.models.layers.deform_attn import set_deform_attn_impl

    set_deform_attn_impl('grid_sample')  # made of operators that can be traced on every device
    launch.run_mmseg_tool('analysis_tools/get_flops.py')


if __name__ == '__main__':
    command_line.run(main, parse_args)
