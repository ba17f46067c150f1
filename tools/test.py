"""Test a checkpoint: metrics, and pictures or label files on request.

python tools/test.py CONFIG CHECKPOINT --steps 10 --show-dir pictures
bash tools/dist_test.sh CONFIG CHECKPOINT 8
"""

import argparse
import os
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmdiffseg.compat.checkpoint import allow_log_history
from mmdiffseg.engine import launch


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file, if the model is trained')
    parser.add_argument('--work-dir', help='for logs and metrics (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
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
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='change the config: key=value, nested.key="[a,b]" without white space',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)
    args = parser.parse_args()
    if args.film and not args.show_dir:
        parser.error('--film needs --show-dir to write to')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Test."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if 'train_cfg' in cfg and not args.checkpoint:
        sys.exit(f'{args.config} is trained: give the checkpoint to test as the second argument')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    cfg.load_from = args.checkpoint or None
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'test')
    for name in ('steps', 'seed'):
        if getattr(args, name) is not None:
            launch.set_head_option(cfg, name, getattr(args, name))
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
        launch.set_output_dir(cfg, args.out)
    if args.tta:
        if 'tta_pipeline' not in cfg:
            raise ValueError(f'{args.config} has no tta_pipeline: leave --tta out')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.tta_model, module=cfg.model)
    if args.checkpoint:
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(type='mmdiffseg.CheckpointMatchHook', strict=True),
        ]
    launch.allow_cpu_processes(cfg)
    allow_log_history()  # mmengine would warn of it, or refuse the checkpoint
    Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
