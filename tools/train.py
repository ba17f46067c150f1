"""Train a model.

python tools/train.py configs/ddp/ddp_r18_shapes.py
bash tools/dist_train.sh configs/ddp/ddp_swin-t_ade20k.py 8
"""

from argparse import Namespace
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from mmdiffseg.engine import command_line, launch
from mmdiffseg.engine.work_dir import newest_checkpoint, refuse_to_overwrite


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    command_line.add_run_options(parser)
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
    return parser.parse_args()


def main(args: Namespace) -> None:
    """Train."""
    if args.seed is not None:
        args.cfg_options = {**args.cfg_options, 'randomness.seed': args.seed}
    cfg = command_line.read_run_config(args)
    launch.check_data_roots(cfg, 'train', 'val')
    for checkpoint in (args.resume, cfg.get('load_from')):
        if checkpoint and checkpoint != 'auto':
            launch.check_checkpoint(checkpoint)
    launch.import_models(cfg)
    launch.check_annotations(cfg, 'val')
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    if 'type' in optimizer:
        launch.class_of(optimizer, OPTIMIZERS)
    if args.amp:
        use_mixed_precision(cfg, args.amp)
    if args.resume or cfg.get('resume'):
        resume(cfg, args.resume or cfg.get('load_from') or 'auto')
    else:
        refuse_to_overwrite(cfg.work_dir)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        # fine-tuning may mean to leave something behind; resuming never does
        dict(type='mmdiffseg.CheckpointMatchHook', strict=cfg.get('resume', False)),
    ]
    launch.seed_augmentation(cfg)
    launch.build_runner(cfg, trust=args.trust).train()


def use_mixed_precision(cfg: Config, dtype: str) -> None:
    """Swap the optimizer wrapper for one that trains in ``dtype``.

    That is mmengine's on a GPU, where bfloat16 needs no loss scale, and ours on a CPU, which
    mmengine's refuses.
    """
    from mmengine.device import get_device

    wrapper = cfg.optim_wrapper
    ours = 'mmdiffseg.GuardedOptimWrapper'
    if wrapper.type not in (ours, 'OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp replaces OptimWrapper, but the config has {wrapper.type}')
    wrapper.dtype = dtype
    if get_device() == 'cpu':
        wrapper.pop('loss_scale', None)  # AmpOptimWrapper's; ours sets its own
        wrapper.type = ours
    elif wrapper.type != ours:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.loss_scale = 'dynamic' if dtype == 'float16' else dict(enabled=False)


def resume(cfg: Config, checkpoint: str) -> None:
    """Go on from ``checkpoint``, or with ``auto`` from the newest of the work dir if it has one."""
    if checkpoint == 'auto':
        checkpoint = newest_checkpoint(cfg.work_dir)
        cfg.resume = checkpoint is not None
        if not cfg.resume:
            print(f'Nothing to resume in {cfg.work_dir}: training starts from the beginning.')
            return
    elif Path(checkpoint).resolve().parent != Path(cfg.work_dir).resolve():
        refuse_to_overwrite(cfg.work_dir)
    # set even in auto mode: mmengine would take a load_from in the config for the resume point
    cfg.load_from = str(checkpoint)
    cfg.resume = True


if __name__ == '__main__':
    command_line.run(main, parse_args)
