"""What the trainings of the tiny world share: options, the clock, the learning rate, saving."""

import argparse
import json
import math
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch


def parse_args(description: str, iters: int, scenes: int, init: bool = False) -> argparse.Namespace:
    """Read the options that every training has, `--init` where asked for, and seed PyTorch."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/tiny_world'), help='%(default)s'
    )
    parser.add_argument('--iters', type=int, default=iters, help='(%(default)s)')
    parser.add_argument(
        '--scenes', type=int, default=scenes, help='scenes to paint, and mirror (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier result')
    if init:
        parser.add_argument('--init', type=Path, help='folder of weights to start from')
    args = parser.parse_args()
    if not (find_spec('diffusers') and find_spec('transformers')):
        parser.error('diffusers and transformers are missing: pip install -e ".[latent]"')
    if min(args.iters, args.scenes) < 1:
        parser.error(f'--iters {args.iters} --scenes {args.scenes}: both must be at least 1')
    torch.manual_seed(args.seed)
    return args


def make_folders(root: Path, names: tuple[str, ...], overwrite: bool) -> list[Path]:
    """The folders `root`/`names`, refused where one exists unless it may be overwritten."""
    folders = [root / name for name in names]
    for folder in folders:
        if folder.exists() and not overwrite:
            sys.exit(f'{folder} exists: add --overwrite to replace it, or choose another --out')
        shutil.rmtree(folder, ignore_errors=True)
    return folders


class Clock:
    """Prints one line now and then: the averages of what was logged, and the time left."""

    def __init__(self, iters: int, every: int = 50) -> None:
        self.iters, self.every = iters, every
        self.start, self.cpu_start = time.time(), time.process_time()
        self.sums: dict[str, float] = {}

    def tick(self, step: int, **losses: torch.Tensor) -> None:
        """Log the losses of a step, counted from 0."""
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0) + float(loss.detach())
        done = step + 1
        if done % self.every and done != self.iters:
            return
        count = (done - 1) % self.every + 1
        averages = '  '.join(f'{name} {total / count:.4f}' for name, total in self.sums.items())
        wall, cpu = time.time() - self.start, time.process_time() - self.cpu_start
        left = wall / done * (self.iters - done)
        print(
            f'{done}/{self.iters}  {averages}  {wall:.0f} s (CPU {cpu:.0f} s), {left:.0f} s left',
            flush=True,
        )
        self.sums.clear()


def cosine_lr(optimizer: torch.optim.Optimizer, iters: int, warmup: int = 100):
    """A learning rate that warms up linearly and then falls along a cosine to 2 %."""

    def factor(step: int) -> float:
        progress = min(step / iters, 1)
        return min((step + 1) / warmup, 1) * (0.51 + 0.49 * math.cos(math.pi * progress))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def name_tokenizers(root: Path) -> None:
    """Name the tokenizers' class as transformers before 5 does; later ones know that name too."""
    for path in (*root.glob('model_index.json'), *root.glob('*/tokenizer_config.json')):
        content = path.read_text()
        path.write_text(content.replace('TokenizersBackend', 'PreTrainedTokenizerFast'))


def forget_sources(root: Path) -> None:
    """Remove from the configs where their weights were loaded from: a path of this machine."""
    for path in root.glob('*/config.json'):
        config = json.loads(path.read_text())
        if config.pop('_name_or_path', None) is not None:
            path.write_text(json.dumps(config, indent=2) + '\n')
