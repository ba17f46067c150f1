r"""Cost of SegDiff's generations: all at once with the image encoded once, against one by one.

    python tools/analysis_tools/generation_cost.py configs/segdiff/segdiff_cityscapes-car.py \
        --steps 3 --size 128 128 --threads 1

The other way is the released code's network call taken literally: every step of every chain
encodes the image again, and the chains run one after the other. Both start from the same noise on
the same (random) weights, take turns in one process, and must end in equal masks. With more steps
the ratio comes nearer to (encoder + U-Net) / U-Net.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import partial

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from mmdiffseg.diffusion import Draws
from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, time_interleaved
from mmdiffseg.models.segdiff import SegDiff


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('--steps', type=command_line.positive, default=100)
    parser.add_argument('--generations', type=command_line.positive, default=9)
    parser.add_argument(
        '--size', type=command_line.positive, nargs=2, default=[128, 128], metavar=('H', 'W')
    )
    parser.add_argument('--runs', type=command_line.positive, default=3, help='timed calls of each')
    parser.add_argument('--warmup', type=int, default=1, help='calls of each before that')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=command_line.positive, help='CPU threads')
    return parser.parse_args()


def run(model: SegDiff, feature: Tensor, noise: dict[str, Tensor]) -> Tensor:
    """The masks (G, C, H, W) of as many generations of one image as there is noise."""
    head = model.decode_head
    head.generations = len(noise['start'])
    # the start, and noise for every step but the last one
    chains = head.chains([feature], [{}], Draws(noise), steps=len(noise))
    return head.generate(chains, images=1)[:, 0]


def at_once(model: SegDiff, image: Tensor, noise: dict[str, Tensor]) -> Tensor:
    """All chains in one batch, the image encoded once: (G, C, H, W)."""
    (feature,) = model.extract_feat(image)
    return run(model, feature, noise)


def one_by_one(model: SegDiff, image: Tensor, noise: dict[str, Tensor]) -> Tensor:
    """Each chain for itself, the image encoded in every step: (G, C, H, W)."""
    head = model.decode_head
    prepare, masks = head.denoiser.prepare, []

    def encode_again(z_t: Tensor, t: Tensor, context: None) -> Tensor:
        (feature,) = model.extract_feat(image)
        return denoise(z_t, t, prepare(feature))

    denoise, head.denoiser.forward = head.denoiser.forward, encode_again
    head.denoiser.prepare = lambda *feature: None
    try:
        for row in range(len(noise['start'])):
            mine = {name: maps[row : row + 1] for name, maps in noise.items()}
            masks.append(run(model, image, mine))
    finally:
        del head.denoiser.forward, head.denoiser.prepare  # the class's own methods show again
    return torch.cat(masks)


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    cfg = command_line.read_config(args.config, {})
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(device).eval()
    if not isinstance(model, SegDiff):
        raise TypeError(f'generations are those of a mmdiffseg.SegDiff, got {cfg.model.type}')
    # the last layer starts at zero and would hide every difference
    torch.nn.init.normal_(model.decode_head.denoiser.out[2].weight, std=0.01)
    image = torch.randn(1, 3, *args.size, device=device)
    shape = (args.generations, model.decode_head.label_encoder.channels, *args.size)
    names = ['start', *(f'step{index}' for index in range(args.steps - 1))]
    noise = {name: torch.randn(shape, device=device) for name in names}
    masks = {}

    def call(name: str, way: Callable) -> None:
        masks[name] = way(model, image, noise)

    ways = {'one by one': one_by_one, 'at once': at_once}
    calls = {name: partial(call, name, way) for name, way in ways.items()}
    with torch.no_grad():
        described = ', '.join(f'{key} {value}' for key, value in environment(device).items())
        print(described)
        print(f'{args.generations} chains of {args.steps} steps, {args.size[0]}x{args.size[1]}')
        seconds = time_interleaved(calls, runs=args.runs, warmup=args.warmup, device=device)
    for name, value in seconds.items():
        print(f'{name}: {value:.2f} s')
    print(f'ratio: {seconds["one by one"] / seconds["at once"]:.2f}')
    first, second = masks.values()
    print(f'largest difference: {(first - second).abs().max():.1e} of {first.abs().max():.1e}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
