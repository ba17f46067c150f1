r"""Latency, throughput and memory of a model, per number of sampling steps.

    python tools/analysis_tools/benchmark.py configs/ddp/ddp_swin-t_camvid.py \
        --against configs/ddp/upernet_swin-t_camvid.py --steps 1 3 10 --batch-sizes 1 8

All models are timed in turns in one process, and every row is also given as a multiple of the
last one of its batch size. `further_step` is what each step costs beyond the first of `--steps`,
as a share of that row. Models of mmdet are timed up to the masks of all queries, since what merges
them depends on the weights. `--cpu-time` counts the seconds that the process computes, for a CPU
that others use too. `--decoder` adds the cost of a single decoder pass of the first config
beside the same pass done the authors' way. Without a checkpoint the weights are random, which
changes no operation count.
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmseg.structures import SegDataSample
from prettytable import PrettyTable
from reference_decoder import ReferenceDecoder
from torch import nn

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.diffusion import Draws
from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, peak_memory, time_interleaved
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.output_dir import check_new_file

DTYPES = ('float32', 'float16', 'bfloat16')


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', nargs='?', help='its weights')
    parser.add_argument('--against', nargs='+', default=[], metavar='CONFIG', help='other models')
    parser.add_argument('--steps', type=command_line.positive, nargs='+', default=[1, 3, 10])
    parser.add_argument('--batch-sizes', type=command_line.positive, nargs='+', default=[1, 8])
    parser.add_argument(
        '--size', type=command_line.positive, nargs=2, default=[512, 512], metavar=('H', 'W')
    )
    parser.add_argument(
        '--runs', type=command_line.positive, default=20, help='timed calls of each'
    )
    parser.add_argument('--warmup', type=int, default=5, help='calls of each before that')
    parser.add_argument('--dtype', choices=DTYPES, default='float32')
    parser.add_argument('--against-dtype', choices=DTYPES, help='of the other models, if another')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=command_line.positive, help='CPU threads')
    parser.add_argument('--cpu-time', action='store_true', help='of all threads, no wall time')
    parser.add_argument('--decoder', action='store_true', help='also time one decoder pass')
    parser.add_argument('--out', type=Path, help='write the figures there, as JSON')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier --out')
    return parser.parse_args()


def build(config: str, checkpoint: str | None, device: torch.device) -> nn.Module:
    """Build the model of a config for inference."""
    cfg = command_line.read_config(config, {})
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    if checkpoint:
        load_exactly(model, load_checkpoint_file(checkpoint)['state_dict'], source=checkpoint)
    return model.to(device).eval()


def prediction(
    model: nn.Module, images: torch.Tensor, steps: int | None, dtype: torch.dtype
) -> Callable[[], None]:
    """A call that predicts a batch, from normalised images to label maps or masks."""
    shape = tuple(images.shape[-2:])
    metainfo = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, batch_input_shape=shape)
    head = head_of(model)

    def predict() -> None:
        if steps is not None:
            head.steps = steps
        samples = [SegDataSample(metainfo=metainfo) for _ in images]
        with cast(images.device, dtype):
            if hasattr(model, 'panoptic_head'):
                head.predict(model.extract_feat(images), samples)
            else:
                model(images, samples, mode='predict')

    return predict


def cast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Autocast to a type; float32 is none."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def head_of(model: nn.Module) -> nn.Module:
    """What follows the backbone, in a model of mmseg or mmdet."""
    return model.panoptic_head if hasattr(model, 'panoptic_head') else model.decode_head


def time_calls(calls: dict, args: Namespace) -> dict:
    """Median seconds of each call."""
    return time_interleaved(
        calls,
        runs=args.runs,
        warmup=args.warmup,
        device=torch.device(args.device),
        clock=time.process_time if args.cpu_time else time.perf_counter,
    )


def model_rows(models: dict[str, nn.Module], batch_size: int, args: Namespace):
    """Time every model at every step count on one batch size."""
    device = torch.device(args.device)
    images = torch.randn(batch_size, 3, *args.size, device=device)
    calls = {}
    first = next(iter(models))
    for name, model in models.items():
        dtype = args.dtype if name == first else args.against_dtype or args.dtype
        diffuses = hasattr(head_of(model), 'steps')
        for steps in args.steps if diffuses else [None]:
            calls[name, steps] = prediction(model, images, steps, getattr(torch, dtype))
    seconds = time_calls(calls, args)
    last = list(seconds.values())[-1]
    few = args.steps[0]

    def further_step(name: str, steps: int | None) -> float | None:
        if steps in (None, few):
            return None
        first = seconds[name, few]
        return (seconds[name, steps] - first) / (steps - few) / first

    return [
        dict(
            model=name,
            steps=steps,
            batch_size=batch_size,
            ms=1000 * seconds[name, steps],
            images_per_second=batch_size / seconds[name, steps],
            peak_mib=peak_memory(call, device),
            ratio=seconds[name, steps] / last,
            further_step=further_step(name, steps),
        )
        for (name, steps), call in calls.items()
    ]


def decoder_costs(model: nn.Module, args: Namespace) -> dict:
    """Take the decoder of a diffusion head apart: one pass, the same the authors' way, chains."""
    device = torch.device(args.device)
    head = model.decode_head
    reference = ReferenceDecoder(head.denoiser).to(device).eval()
    grid = [side // 4 for side in args.size]
    feature = torch.randn(1, head.in_channels, *grid, device=device)
    noise = torch.randn(1, head.label_encoder.channels, *grid, device=device)
    z_t = noise.contiguous(memory_format=torch.channels_last)  # as the head keeps it
    log_snr = torch.zeros(1, device=device)
    context = head.denoiser.prepare(feature)
    draws = Draws(dict(start=noise))

    def chain(steps: int) -> torch.Tensor:
        return head.summarise(head.chains([feature], [{}], draws, steps=steps), images=1)

    ours, authors = 'decoder pass', "decoder pass, the authors' way"
    calls = {
        ours: partial(head.denoiser, z_t, log_snr, context),
        authors: partial(reference, feature, noise, log_snr),
        'once per image': partial(head.denoiser.prepare, feature),
        'chain of 1 step': partial(chain, 1),
        'chain of 4 steps': partial(chain, 4),
    }
    seconds = time_calls(calls, args)
    further = (seconds['chain of 4 steps'] - seconds['chain of 1 step']) / 3
    rows = [
        dict(
            part=name,
            ms=1000 * seconds[name],
            passes=seconds[name] / seconds[ours],
            peak_mib=peak_memory(call, device),
        )
        for name, call in calls.items()
    ]
    return dict(
        rows=rows,
        further_step_passes=further / seconds[ours],
        largest_difference=(calls[ours]() - calls[authors]()).abs().max().item(),
    )


def table(rows: list[dict]) -> str:
    """Rows as text."""
    text = PrettyTable(list(rows[0]), align='r')
    for row in rows:
        text.add_row(
            ['-' if v is None else f'{v:.2f}' if isinstance(v, float) else v for v in row.values()]
        )
    return text.get_string()


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.out:
        check_new_file(args.out, overwrite=args.overwrite)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    models = {Path(args.config).stem: build(args.config, args.checkpoint, device)}
    models |= {Path(config).stem: build(config, None, device) for config in args.against}
    result = dict(environment=environment(device), arguments=vars(args))
    print(', '.join(f'{name} {value}' for name, value in result['environment'].items()))
    print(f'{args.dtype}, {args.size[0]}x{args.size[1]}, median of {args.runs} runs')
    with torch.no_grad():
        result['models'] = []
        for batch_size in args.batch_sizes:
            rows = model_rows(models, batch_size, args)
            print(table(rows))
            result['models'] += rows
        if args.decoder:
            with cast(device, getattr(torch, args.dtype)):
                costs = decoder_costs(models[Path(args.config).stem], args)
            print(table(costs['rows']))
            print(f'each further step: {costs["further_step_passes"]:.2f} decoder passes')
            print(f'largest difference of the two passes: {costs["largest_difference"]:.1e}')
            result['decoder'] = costs
    if args.out:
        args.out.write_text(json.dumps(result, indent=2, default=str))


if __name__ == '__main__':
    command_line.run(main, parse_args)
