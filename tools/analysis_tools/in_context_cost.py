"""Cost of Ref LDM-Seg-n: branches in one batch and prompts encoded once, against one by one.

    python tools/analysis_tools/in_context_cost.py configs/ref_ldm_seg/ldis-n_pascal.py \
        --steps 4 --threads 1 --cfg-options model.stable_diffusion=FOLDER

"One by one" calls the U-Net three times a step (query and prompt, query alone, neither) and encodes
the prompt, and the grey picture that stands for none, anew each time. Both ways have the same
weights and noise, take turns in one process, and must end in equal latents. With
`model.weights=False model.prompt_encoder.weights=False` the weights are random, and the folders
need to hold configurations only.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import partial

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, time_interleaved
from mmdiffseg.models.in_context import EncodedPrompts, RefLDMSegMultiStep


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('--steps', type=command_line.positive, default=20)
    parser.add_argument(
        '--batch-size', type=command_line.positive, default=1, help='queries of one concept'
    )
    parser.add_argument('--runs', type=command_line.positive, default=3, help='timed calls of each')
    parser.add_argument('--warmup', type=int, default=1, help='calls of each before that')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=command_line.positive, help='CPU threads')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


class OneByOne:
    """A model's ``denoise`` with a call for each branch, encoding the prompts every time."""

    def __init__(self, model: RefLDMSegMultiStep, image: Tensor, mask: Tensor) -> None:
        self.denoise = model.denoise
        self.encoder = model.prompt_encoder
        self.image, self.mask = image, mask

    def __call__(self, z: Tensor, t: Tensor, prompts: EncodedPrompts) -> Tensor:
        """See ``InContextSegmentor.denoise``; ``z`` and ``prompts`` hold the three branches."""
        outputs = []
        branches = zip(z.chunk(3), *(part.chunk(3) for part in prompts), strict=True)
        for branch, (part, tokens, mask) in enumerate(branches):
            if branch == 0:
                tokens = self.encoder(self.image, self.mask).expand(len(part)).tokens
            else:
                grey = self.encoder.grey_tokens(tokens.device)
                tokens = grey.repeat(len(tokens), tokens.shape[1] // grey.shape[1], 1)
            outputs.append(self.denoise(part, t, EncodedPrompts(tokens, mask)))
        return torch.cat(outputs)


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    cfg = command_line.read_config(args.config, args.cfg_options)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(device).eval()
    if not isinstance(model, RefLDMSegMultiStep):
        raise TypeError(f'the branches are those of RefLDMSegMultiStep, got {cfg.model.type}')
    if not model.guided:
        raise ValueError(f'without guidance there is one branch: {model.guidance}')
    model.steps = args.steps
    size = cfg.model.data_preprocessor.size
    image = torch.rand(1, 1, 3, size, size, device=device) * 2 - 1
    mask = (torch.rand(1, 1, size, size, device=device) > 0.5).float()
    query = torch.rand(args.batch_size, 3, size, size, device=device) * 2 - 1
    encoded = model.encode_prompts(image, mask).expand(args.batch_size)
    latents = {}

    def call(name: str, denoise: Callable) -> None:
        model.denoise = denoise
        draws = Draws.named([str(i) for i in range(args.batch_size)], seed=0)
        latents[name] = model.mask_latent(query, encoded, draws=draws)
        del model.denoise  # the class's own method shows again

    ways = {'one by one': OneByOne(model, image, mask), 'at once': model.denoise}
    calls = {name: partial(call, name, denoise) for name, denoise in ways.items()}
    with torch.no_grad():
        print(', '.join(f'{key} {value}' for key, value in environment(device).items()))
        print(f'{args.batch_size} queries of {size} pixels, {args.steps} steps of three branches')
        seconds = time_interleaved(calls, runs=args.runs, warmup=args.warmup, device=device)
    for name, value in seconds.items():
        print(f'{name}: {value:.2f} s')
    print(f'ratio: {seconds["one by one"] / seconds["at once"]:.2f}')
    first, second = latents.values()
    print(f'largest difference: {(first - second).abs().max():.1e} of {first.abs().max():.1e}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
