r"""Time of deformable attention in each implementation, at the shapes of DDP's decoder.

    python tools/analysis_tools/deform_attn_cost.py --device cuda --side 128

One level of `side` x `side` tokens, 256 channels, 8 heads, 4 points. Every implementation that runs
on the device is compared with `grid_sample` in float64 and timed in turns with all others, for
inference and for training. `inductor` is `grid_sample` under torch.compile, where there is a
compiler (CUDA: Triton).
"""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import torch
from prettytable import PrettyTable
from torch import Tensor

from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, time_interleaved
from mmdiffseg.models.layers import deform_attn
from mmdiffseg.output_dir import check_new_file

HEADS, WIDTH, POINTS = 8, 32, 4


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument(
        '--side', type=command_line.positive, default=128, help='tokens along a side of the map'
    )
    parser.add_argument('--batch-size', type=command_line.positive, default=1)
    parser.add_argument('--runs', type=command_line.positive, default=10)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--inductor', action='store_true', help='also under torch.compile')
    parser.add_argument('--out', type=Path, help='write the figures there, as JSON')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier --out')
    return parser.parse_args()


def main(args: Namespace) -> None:
    """Compare and time."""
    if args.out:
        check_new_file(args.out, overwrite=args.overwrite)
    device, side = torch.device(args.device), args.side
    torch.manual_seed(0)
    shape = (args.batch_size, side * side)
    value = torch.randn(*shape, HEADS, WIDTH, device=device)
    # mostly near the cell itself, as in a trained model, and sometimes outside the map
    places = torch.rand(*shape, HEADS, 1, POINTS, 2, device=device) * 1.1 - 0.05
    weights = torch.rand(*shape, HEADS, 1, POINTS, device=device).flatten(3).softmax(-1)
    weights = weights.view(*shape, HEADS, 1, POINTS)
    tensors = [value, places, weights]

    functions = dict(deform_attn.IMPLEMENTATIONS)
    if not deform_attn.has_cuda_op() or device.type == 'cpu':
        del functions['compiled']
    if args.inductor:
        functions['inductor'] = torch.compile(functions['grid_sample'])

    def call(function: Callable, *given: Tensor) -> Tensor:
        return function(given[0], [(side, side)], *given[1:])

    def train(function: Callable) -> None:
        given = [tensor.detach().requires_grad_() for tensor in tensors]
        call(function, *given).sum().backward()

    exact = call(functions['grid_sample'], *(tensor.double() for tensor in tensors))
    errors = {name: (call(f, *tensors) - exact).abs().max().item() for name, f in functions.items()}
    options = dict(runs=args.runs, warmup=2, device=device)
    with torch.no_grad():
        forward = time_interleaved(
            {name: lambda f=f: call(f, *tensors) for name, f in functions.items()}, **options
        )
    both = time_interleaved(
        {name: lambda f=f: train(f) for name, f in functions.items()}, **options
    )
    rows = [
        dict(
            implementation=name,
            error=errors[name],
            forward_ms=1000 * forward[name],
            training_ms=1000 * both[name],
        )
        for name in functions
    ]
    table = PrettyTable(list(rows[0]), align='r')
    for row in rows:
        table.add_row([f'{v:.3g}' if isinstance(v, float) else v for v in row.values()])
    print(table)
    if args.out:
        text = json.dumps(dict(environment=environment(device), rows=rows))
        args.out.write_text(text)


if __name__ == '__main__':
    command_line.run(main, parse_args)
