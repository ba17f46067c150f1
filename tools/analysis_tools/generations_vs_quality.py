"""What several generations and sampling steps are worth to a SegDiff model.

    python tools/analysis_tools/generations_vs_quality.py CONFIG CHECKPOINT \
        --generations 1 3 9 25 --chains ddpm:100 ddim:25 ddim:10

Every image is generated as often as the largest number asks for, once per chain; a smaller number
averages the first of these. `ddpm:N` is the config's ancestral sampler in N steps, `ddim:N` the
deterministic one. Prints a table of IoU, F1, ECE and Brier score, per image and then averaged, and
writes generations_vs_quality.json and .png.
"""

import argparse
import json
import time
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.diffusion import DDIMSampler
from mmdiffseg.engine import command_line, launch
from mmdiffseg.evaluation import BinaryMaskMetric
from mmdiffseg.models.segdiff import SegDiff
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.output_dir import check_new_file

SCORES = ('mIoU', 'F1', 'ECE', 'Brier')


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file; without one, random weights'
    )
    parser.add_argument(
        '--generations', type=command_line.positive, nargs='+', default=[1, 3, 9, 25]
    )
    parser.add_argument(
        '--chains',
        type=chain,
        nargs='+',
        default=[('ddpm', 100), ('ddim', 25), ('ddim', 10)],
        metavar='SAMPLER:STEPS',
        help='(ddpm:100 ddim:25 ddim:10)',
    )
    parser.add_argument('--images', type=command_line.positive, help='only the first so many')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument('--out-dir', type=Path, help='(work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def chain(text: str) -> tuple[str, int]:
    """Read `ddpm:100`."""
    sampler, _, steps = text.partition(':')
    if sampler not in ('ddpm', 'ddim') or not steps.isdigit():
        raise argparse.ArgumentTypeError(f'{text!r} is not like ddpm:100 or ddim:10')
    return sampler, int(steps)


@torch.no_grad()
def evaluate(
    model: SegDiff, batches, chains: list[tuple[str, int]], generations: list[int], classes: tuple
) -> list[dict]:
    """Run all chains over the data.

    Returns:
        A row of scores, in percent, and seconds per image for each chain and number of generations.
    """
    head = model.decode_head
    ddpm = head.diffusion_sampler
    samplers = dict(ddpm=ddpm, ddim=DDIMSampler(schedule=ddpm.schedule, spacing='uniform'))
    head.generations = max(generations)
    metrics = defaultdict(BinaryMaskMetric)
    seconds, images = defaultdict(float), 0
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        inputs, samples = data['inputs'], data['data_samples']
        images += len(samples)
        for name, steps in chains:
            head.diffusion_sampler = samplers[name]
            start = time.perf_counter()
            generated = model.generate(inputs, samples, steps)  # of each image (N, K, H, W)
            seconds[name, steps] += time.perf_counter() - start
            for count in generations:
                for sample, probs in zip(samples, generated, strict=True):
                    model.combine(probs[:count], sample)
                metric = metrics[name, steps, count]
                metric.dataset_meta = dict(classes=classes)
                metric.process({}, [sample.to_dict() for sample in samples])
    rows = []
    for (name, steps, count), metric in metrics.items():
        scores = metric.evaluate(images)
        cost = seconds[name, steps] / images * count / max(generations)
        row = dict(sampler=name, steps=steps, generations=count, seconds_per_image=cost)
        rows.append(row | {score: scores[score] for score in SCORES})
    return rows


def table(rows: list[dict]) -> str:
    """The rows as text."""
    text = PrettyTable(['sampler', 'steps', 'N', *SCORES, 's / image'], align='r')
    for row in rows:
        cells = [f'{row[score]:.2f}' for score in SCORES]
        text.add_row(
            [row['sampler'], row['steps'], row['generations'], *cells]
            + [f'{row["seconds_per_image"]:.2f}']
        )
    return text.get_string()


def plot(rows: list[dict], path: Path) -> None:
    """Draw IoU and calibration error over the number of generations."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    for axis, score in zip(axes, ('mIoU', 'ECE'), strict=True):
        for name, steps in dict.fromkeys((row['sampler'], row['steps']) for row in rows):
            curve = [row for row in rows if (row['sampler'], row['steps']) == (name, steps)]
            counts = [row['generations'] for row in curve]
            values = [row[score] for row in curve]
            axis.plot(counts, values, 'o-', label=f'{name.upper()}, {steps} steps')
        axis.set(xlabel='generations', ylabel=f'{score} (%)', xscale='log')
        axis.set_xticks(counts, counts)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(args: Namespace) -> None:
    """Evaluate, print and write."""
    out_dir = args.out_dir or Path('work_dirs', Path(args.config).stem)
    check_new_file(out_dir / 'generations_vs_quality.json', overwrite=args.overwrite)
    cfg = command_line.read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'test')
    model = MODELS.build(cfg.model)
    if not isinstance(model, SegDiff):
        raise TypeError(f'generations are those of a mmdiffseg.SegDiff, got {cfg.model.type}')
    if args.checkpoint:
        weights = load_checkpoint_file(args.checkpoint)['state_dict']
        load_exactly(model, weights, source=args.checkpoint)
    model = model.to(get_device()).eval()
    for _, steps in args.chains:
        model.decode_head.diffusion_sampler.time_pairs(steps)  # refuses impossible counts early

    if args.images:
        cfg.test_dataloader.dataset.indices = args.images
    loader = Runner.build_dataloader(cfg.test_dataloader)
    rows = evaluate(
        model,
        track_iter_progress((loader, len(loader))),
        args.chains,
        sorted(set(args.generations)),
        loader.dataset.metainfo['classes'],
    )
    print('\n' + table(rows))
    out_dir.mkdir(parents=True, exist_ok=True)
    record = dict(images=len(loader.dataset), rows=rows)
    (out_dir / 'generations_vs_quality.json').write_text(json.dumps(record, indent=2))
    plot(rows, out_dir / 'generations_vs_quality.png')
    print(f'Written: {out_dir}/generations_vs_quality.json and .png')


if __name__ == '__main__':
    command_line.run(main, parse_args)
