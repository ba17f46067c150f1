"""Test a checkpoint: metrics, and pictures or label files on request.

python tools/test.py CONFIG CHECKPOINT --steps 10 --show-dir pictures
python tools/test.py configs/ref_diff/ref-diff_refcoco.py --split testA
bash tools/dist_test.sh CONFIG CHECKPOINT 8
"""

from argparse import Namespace
from pathlib import Path

from mmdiffseg.engine import command_line, launch
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    command_line.add_run_options(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file, if the model is trained')
    parser.add_argument('--steps', type=int, help='sampling steps of a diffusion head')
    parser.add_argument('--seed', type=int, help='seed of the noise a diffusion head starts from')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--out', metavar='DIR', help='write predicted label maps there, as PNG')
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='write a panel per image there: steps, uncertainty, errors; or a picture per task',
    )
    parser.add_argument('--film', action='store_true', help='denoising films (GIF) in --show-dir')
    parser.add_argument('--show', action='store_true', help='show the panels in a window')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds a window stays')
    parser.add_argument(
        '--overwrite', action='store_true', help='write to folders that hold other files already'
    )
    args = parser.parse_args()
    if args.out and args.show_dir and Path(args.out).resolve() == Path(args.show_dir).resolve():
        parser.error('--out and --show-dir write files of the same names: give two folders')
    if args.film and not args.show_dir:
        parser.error('--film needs --show-dir to write to')
    return args


def main(args: Namespace) -> None:
    """Test."""
    cfg = command_line.read_run_config(args)
    cfg.load_from = args.checkpoint
    if args.checkpoint:
        launch.check_checkpoint(args.checkpoint)
    elif 'train_cfg' in cfg:
        raise ValueError(
            f'{args.config} is trained: give the checkpoint to test as the second argument'
        )
    launch.check_data_roots(cfg, 'test')
    if args.show:
        command_line.need_display('write the panels to a folder with --show-dir')
    if args.tta and 'tta_pipeline' not in cfg:
        raise ValueError(f'{args.config} has no tta_pipeline: leave --tta out')
    launch.import_models(cfg)
    launch.check_annotations(cfg, 'test')
    for name in ('steps', 'seed'):
        if getattr(args, name) is not None:
            launch.set_head_option(cfg, name, getattr(args, name))
    if args.show_dir:
        claim_output_dir(args.show_dir, inputs=launch.data_folders(cfg), overwrite=args.overwrite)
    if args.show or args.show_dir:
        launch.show_diffusion(cfg)
        pictures = dict(
            type='mmdiffseg.DiffusionVisualizationHook',
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            film=args.film,
        )
        cfg.default_hooks = {**cfg.get('default_hooks', {}), 'visualization': pictures}
    if args.out:
        launch.set_output_dir(cfg, args.out, overwrite=args.overwrite)
    if args.tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.tta_model, module=cfg.model)
    if args.checkpoint:
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(type='mmdiffseg.CheckpointMatchHook', strict=True),
        ]
    launch.build_runner(cfg, trust=args.trust).test()
    for folder in filter(None, (args.out, args.show_dir)):
        finish_output_dir(folder)


if __name__ == '__main__':
    command_line.run(main, parse_args)
