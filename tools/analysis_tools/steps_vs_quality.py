"""What the sampling steps of a diffusion model are worth: mIoU and latency per number of steps.

    python tools/analysis_tools/steps_vs_quality.py CONFIG CHECKPOINT --steps 1 2 3 5 10 \
        --twin TWINS_CONFIG TWINS_CHECKPOINT

One pass over the test data gives four or five curves:

own chain     a chain of its own for every step count
along chain   the prediction after every step of the longest chain
frozen time   the network is told the first time at every step
fresh noise   the step's result is replaced by new noise of its strength, without a trace of
              earlier predictions
twin          a model of its own, trained and tested without diffusion: the same decoder that never
              sees a label map, such as configs/ddp/ddp_r18_shapes_zero-map.py beside
              ddp_r18_shapes.py. It knows no steps, its line is flat

If frozen time and fresh noise do as well as the own chain, the steps refine nothing. If the twin
does, neither does diffusion. The latency is that of the own chain, encoding included. Prints a
table and writes steps_vs_quality.json and .png.
"""

import json
import statistics
import time
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from prettytable import PrettyTable
from sampling_controls import CONTROLS
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line, launch
from mmdiffseg.models.segmentors import DiffusionEncoderDecoder
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.output_dir import check_new_file

OWN, ALONG, TWIN = 'own chain', 'along chain', 'twin'


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--steps', type=command_line.positive, nargs='+', default=[1, 2, 3, 5, 10])
    parser.add_argument(
        '--twin', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help='the same model without diffusion'
    )
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument('--out-dir', type=Path, help='(work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


class Scores:
    """Mean IoU of several predictors, accumulated over a data set as mmseg does.

    Args:
        num_classes: Number of classes.
        ignore_index: Label that does not count.
    """

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.areas: dict[tuple[str, int], list[Tensor]] = {}

    def add(self, curve: str, chains: dict[int, list[SegDataSample]]) -> None:
        """Add the predictions of one batch, by number of steps."""
        for steps, samples in chains.items():
            for sample in samples:
                areas = IoUMetric.intersect_and_union(
                    sample.pred_sem_seg.data[0],
                    sample.gt_sem_seg.data[0],
                    self.num_classes,
                    self.ignore_index,
                )
                total = self.areas.get((curve, steps), [0.0] * len(areas))
                self.areas[curve, steps] = [a + b for a, b in zip(total, areas, strict=True)]

    def mean_iou(self) -> dict[str, dict[int, float]]:
        """The mIoU in percent of each curve at each number of steps."""
        curves = defaultdict(dict)
        for (curve, steps), areas in self.areas.items():
            iou = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU'])['IoU']
            curves[curve][steps] = float(np.nanmean(iou) * 100)
        return dict(curves)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@torch.no_grad()
def evaluate(
    model: DiffusionEncoderDecoder,
    batches,
    steps: list[int],
    num_classes: int,
    twin: EncoderDecoder | None = None,
) -> tuple[dict[str, dict[int, float]], dict[int, float]]:
    """Run all chains over the data.

    Returns:
        The mIoU of each curve by steps, and the median latency in ms of an image by steps.
    """
    head = model.decode_head
    sampler = head.diffusion_sampler
    scores, latencies = Scores(num_classes, head.ignore_index), defaultdict(list)
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        inputs, samples = data['inputs'], data['data_samples']
        for count in steps:
            _wait()
            start = time.perf_counter()
            predictions = model.predict_steps(inputs, samples, [count])
            _wait()
            latencies[count].append(1000 * (time.perf_counter() - start) / len(samples))
            scores.add(OWN, predictions)
        trajectory = model.predict_trajectory(inputs, samples, max(steps))
        scores.add(ALONG, dict(enumerate(trajectory, start=1)))
        for name, control in CONTROLS.items():
            head.diffusion_sampler = control(sampler)
            scores.add(name, model.predict_steps(inputs, samples, steps))
            head.diffusion_sampler = sampler
        if twin is not None:
            scores.add(TWIN, dict.fromkeys(steps, twin.test_step(batch)))
    return scores.mean_iou(), {k: statistics.median(v) for k, v in latencies.items()}


def table(curves: dict[str, dict[int, float]], latency: dict[int, float]) -> str:
    """The curves side by side, one row per number of steps."""
    text = PrettyTable(['steps', *curves, 'ms / image'], align='r')
    for steps in sorted(set().union(*curves.values())):
        values = [curve.get(steps) for curve in curves.values()]
        cells = ['' if value is None else f'{value:.2f}' for value in values]
        text.add_row([steps, *cells, f'{latency[steps]:.1f}' if steps in latency else ''])
    return text.get_string()


def plot(curves: dict[str, dict[int, float]], latency: dict[int, float], path: Path) -> None:
    """Draw mIoU over steps, and of the own chains over latency."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout='constrained')
    styles = {OWN: 'o-', ALONG: '.-', 'frozen time': 's--', 'fresh noise': '^:', TWIN: '-.'}
    for name, curve in curves.items():
        left.plot(list(curve), list(curve.values()), styles[name], label=name)
    left.set(xlabel='steps', ylabel='mIoU (%)')
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend()
    own = curves[OWN]
    right.plot([latency[steps] for steps in own], list(own.values()), 'o-')
    for steps, value in own.items():
        right.annotate(
            str(steps), (latency[steps], value), xytext=(4, 4), textcoords='offset points'
        )
    right.set(xlabel='ms per image (numbers: steps)')
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def build(cfg: Config, checkpoint: str) -> EncoderDecoder:
    """The model of a config with the weights of a checkpoint, for inference."""
    model = MODELS.build(cfg.model)
    load_exactly(model, load_checkpoint_file(checkpoint)['state_dict'], source=checkpoint)
    return model.to(get_device()).eval()


def main(args: Namespace) -> None:
    """Evaluate, print and write."""
    out_dir = args.out_dir or Path('work_dirs', Path(args.config).stem)
    check_new_file(out_dir / 'steps_vs_quality.json', overwrite=args.overwrite)
    cfg = command_line.read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'test')
    launch.set_head_option(cfg, 'steps', max(args.steps))
    launch.show_diffusion(cfg)
    model = build(cfg, args.checkpoint)
    twin = build(command_line.read_config(args.twin[0], {}), args.twin[1]) if args.twin else None
    if twin is not None and twin.num_classes != model.num_classes:
        raise ValueError(
            f'the twin {args.twin[0]} knows {twin.num_classes} classes, {args.config} '
            f'{model.num_classes}: give a twin trained on the same data'
        )
    steps = sorted(set(args.steps))
    for count in steps:
        model.decode_head.diffusion_sampler.time_pairs(count)  # refuses impossible counts early

    cfg.test_dataloader.batch_size = 1  # latency is that of a single image
    loader = Runner.build_dataloader(cfg.test_dataloader)
    classes = loader.dataset.metainfo['classes']
    batches = track_iter_progress((loader, len(loader)))
    curves, latency = evaluate(model, batches, steps, len(classes), twin)
    print('\n' + table(curves, latency))

    out_dir.mkdir(parents=True, exist_ok=True)
    figures = dict(mean_iou=curves, ms_per_image=latency, images=len(loader.dataset))
    (out_dir / 'steps_vs_quality.json').write_text(json.dumps(figures, indent=2))
    plot(curves, latency, out_dir / 'steps_vs_quality.png')
    print(f'Written: {out_dir}/steps_vs_quality.json and .png')


if __name__ == '__main__':
    command_line.run(main, parse_args)
