r"""Measure everything that waits for a GPU, in at most 25 minutes, with nothing to download.

    make gpu-report        # or: python tools/gpu_report.py --out gpu_report

Each stage is a command of this repository with a time limit. What it says is kept in
`report.json` as soon as it ends, so that a report that was cut off goes on where it stopped;
`report.md` is made of it. Without a GPU the same stages run small, on the CPU, to show that they
run. `--only NAME ...` runs some stages, again where they have run before.
"""

import json
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import torch

from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment

ROOT = Path(__file__).resolve().parent.parent
#: all stages together, in seconds
BUDGET = 25 * 60
TAIL = 4000


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command of the report.

    Attributes:
        name: Its name.
        title: What it answers.
        command: Arguments for Python; ``OUT`` stands for the stage's own folder.
        limit: Seconds after which it is stopped.
        figures: File in its folder that holds figures as JSON.
        needs: Stages that must have ended well.
    """

    name: str
    title: str
    command: tuple[str, ...]
    limit: int
    figures: str | None = None
    needs: tuple[str, ...] = ()


def stages(device: str) -> list[Stage]:
    """The stages, the most important first; small ones without a GPU."""
    gpu = device != 'cpu'
    benchmark, runs = 'tools/analysis_tools/benchmark.py', '10' if gpu else '1'

    def speed(name: str, title: str, config: str, *options: str, dtype: str) -> Stage:
        size = ('512', '512') if gpu else ('64', '64')
        batches = ('1', '8', '32') if gpu else ('1',)
        common = ('--device', device, '--dtype', dtype, '--runs', runs, '--warmup', '2')
        return Stage(
            name=f'{name}-{dtype}',
            title=f'{title}, {dtype}',
            command=(
                *(benchmark, f'configs/{config}.py', '--size', *size),
                *('--batch-sizes', *batches, *common, *options, '--out', 'OUT/figures.json'),
                '--overwrite',
            ),
            limit=150,
            figures='figures.json',
        )

    def training(name: str, config: str, minutes: int, needs: tuple[str, ...]) -> Stage:
        iterations = '2000' if gpu else '2'
        return Stage(
            name=f'train-{name}',
            title=f'{config} trained on Shapes, cut to {minutes} minutes',
            command=(
                *('tools/train.py', f'configs/{config}.py', '--work-dir', 'OUT/run'),
                *('--data-root', 'OUT/../shapes/data', '--cfg-options'),
                f'train_cfg.max_iters={iterations}',
                f'train_cfg.val_interval={iterations}',
            ),
            limit=60 * minutes,
            needs=needs,
        )

    ddp = ('--against', 'configs/ddp/upernet_swin-t_camvid.py', '--steps', '1', '3')
    dformer = ('--against', 'configs/dformer/mask2former_r50_coco-panoptic.py', '--steps', '1', '4')
    steps = ('--steps', '1', '10')
    dtypes = ('float32', 'bfloat16')
    pictures = '400' if gpu else '8'
    return [
        Stage(
            name='kernels',
            title='deformable attention on this device against float64 on the CPU',
            command=('-m', 'pytest', '-q', 'tests/test_models/test_layers/test_deform_attn.py'),
            limit=240,
        ),
        *(
            speed('ddp', 'DDP Swin-T beside UPerNet', 'ddp/ddp_swin-t_camvid', *ddp, dtype=dtype)
            for dtype in dtypes
        ),
        *(
            speed(
                *('dformer', 'DFormer R50 beside Mask2Former', 'dformer/dformer_r50_coco-panoptic'),
                *dformer,
                dtype=dtype,
            )
            for dtype in dtypes
        ),
        *(
            speed('segdiff', 'SegDiff', 'segdiff/segdiff_small_dsb2018', *steps, dtype=dtype)
            for dtype in dtypes
        ),
        *(
            speed(
                *('nuclei', 'the nuclei model', 'stochastic/categorical_dsb2018'),
                *steps,
                dtype=dtype,
            )
            for dtype in dtypes
        ),
        Stage(
            name='attention',
            title='deformable attention by plain operators, compiled and not',
            command=(
                *('tools/analysis_tools/deform_attn_cost.py', '--device', device),
                *('--side', '128' if gpu else '16', '--out', 'OUT/figures.json', '--overwrite'),
            ),
            limit=180,
            figures='figures.json',
        ),
        Stage(
            name='shapes',
            title='pictures for the trainings',
            command=(
                *('tools/dataset_converters/shapes.py', '--out', 'OUT/data'),
                *('--train', pictures, '--val', '40' if gpu else '4'),
            ),
            limit=120,
        ),
        training('ddp', 'ddp/ddp_r18_shapes', 4, ('shapes',)),
        training('segdiff', 'segdiff/segdiff_shapes', 4, ('shapes',)),
    ]


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('--out', type=Path, default=Path('gpu_report'), help='folder of the report')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='run these stages')
    parser.add_argument('--budget', type=int, default=BUDGET, help='seconds of all stages together')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def run(stage: Stage, folder: Path, limit: float) -> dict:
    """Run one stage, and say what came of it."""
    place = folder / stage.name
    place.mkdir(parents=True, exist_ok=True)
    command = [part.replace('OUT', str(place.resolve())) for part in stage.command]
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=limit
        )
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as stopped:
        code, said = None, ''.join(_text(part) for part in (stopped.stdout, stopped.stderr))
    figures = place / stage.figures if stage.figures else None
    return dict(
        title=stage.title,
        command='python ' + ' '.join(stage.command),
        seconds=round(time.monotonic() - start, 1),
        code=code,
        said=said[-TAIL:],
        figures=json.loads(figures.read_text()) if figures and figures.exists() else None,
    )


def _text(said: bytes | str | None) -> str:
    return said.decode(errors='replace') if isinstance(said, bytes) else said or ''


def page(report: dict) -> str:
    """The report as markdown."""
    known = ', '.join(f'{name} {value}' for name, value in report['environment'].items())
    lines = ['# GPU report', '', known, '']
    if report['device'] == 'cpu':
        lines += ['There was no GPU: the stages ran small, on the CPU. No figure here counts.', '']
    for name, entry in report['stages'].items():
        ended = {0: 'ended well', None: 'was stopped at its limit'}.get(
            entry['code'], f'failed with code {entry["code"]}'
        )
        lines += [
            f'## {name}: {entry["title"]}',
            '',
            f'`{entry["command"]}` {ended} after {entry["seconds"]:.0f} s.',
            '',
            '```',
            entry['said'].strip(),
            '```',
            '',
        ]
    return '\n'.join(lines)


def main(args: Namespace) -> None:
    """Run what has not run yet, and write the report after each stage."""
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / 'report.json'
    device = torch.device(args.device)
    if device.type == 'cpu':
        print('There is no GPU here: the stages run small, on the CPU.')
    report = dict(device=device.type, environment=environment(device), stages={})
    if file.exists():
        earlier = json.loads(file.read_text())
        if earlier['environment'] != report['environment']:
            raise ValueError(
                f'{file} was measured elsewhere ({earlier["environment"]["device"]}): choose '
                'another --out'
            )
        report = earlier
    known = {stage.name: stage for stage in stages(device.type)}
    unknown = set(args.only or ()) - set(known)
    if unknown:
        raise ValueError(f'there is no stage {sorted(unknown)}, only {list(known)}')
    end = time.monotonic() + args.budget
    for name, stage in known.items():
        done = report['stages']
        if name in done if args.only is None else name not in args.only:
            continue
        if any(done.get(other, {}).get('code') != 0 for other in stage.needs):
            print(f'{name}: left out, it needs {", ".join(stage.needs)}')
            continue
        left = end - time.monotonic()
        if left < 10:
            print(f'{name}: no time is left; run this again to go on')
            break
        print(f'{name}: {stage.title} ...', flush=True)
        done[name] = run(stage, args.out, min(stage.limit, left))
        print(f'  {done[name]["seconds"]} s, code {done[name]["code"]}')
        file.write_text(json.dumps(report, indent=1, default=str))
        (args.out / 'report.md').write_text(page(report))
    print(f'see {args.out / "report.md"}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
