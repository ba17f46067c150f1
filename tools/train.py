"""Train a model.

python tools/train.py configs/ddp/ddp_r18_shapes.py
bash tools/dist_train.sh configs/ddp/ddp_swin-t_ade20k.py 8
"""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from mmdiffseg.compat.checkpoint import allow_log_history
from mmdiffseg.engine import launch


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='for logs and checkpoints (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a value, from the latest in the work dir, if any',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='float16',
        choices=['float16', 'bfloat16'],
        help='train with automatic mixed precision, float16 if no type is named',
    )
    parser.add_argument('--seed', type=int, help='instead of randomness.seed in the config')
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
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Train."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'train', 'val')
    if args.seed is not None:
        cfg.randomness = dict(cfg.get('randomness', {}), seed=args.seed)
    if args.amp:
        use_mixed_precision(cfg, args.amp)
    if args.resume:
        resume(cfg, args.resume)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        # fine-tuning may mean to leave something behind; resuming never does
        dict(type='mmdiffseg.CheckpointMatchHook', strict=cfg.get('resume', False)),
    ]
    launch.seed_augmentation(cfg)
    launch.allow_cpu_processes(cfg)
    allow_log_history()  # mmengine would warn of it, or refuse the checkpoint
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()


def use_mixed_precision(cfg: Config, dtype: str) -> None:
    """Swap the optimizer wrapper for mmengine's AMP one; bfloat16 needs no loss scale."""
    wrapper = cfg.optim_wrapper
    if wrapper.type == 'mmdiffseg.GuardedOptimWrapper':
        wrapper.dtype = dtype
        return
    if wrapper.type not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp replaces OptimWrapper, but the config has {wrapper.type}')
    wrapper.type = 'AmpOptimWrapper'
    wrapper.dtype = dtype
    wrapper.loss_scale = 'dynamic' if dtype == 'float16' else dict(enabled=False)


def resume(cfg: Config, checkpoint: str) -> None:
    """Go on from ``checkpoint``, or with ``auto`` from the latest of the work dir if it has one."""
    if checkpoint == 'auto':
        checkpoint = find_latest_checkpoint(cfg.work_dir)
        if checkpoint is None:
            print(f'Nothing to resume in {cfg.work_dir}: training starts from the beginning.')
            return
    # set even in auto mode: mmengine would take a load_from in the config for the resume point
    cfg.load_from = checkpoint
    cfg.resume = True


if __name__ == '__main__':
    main()
