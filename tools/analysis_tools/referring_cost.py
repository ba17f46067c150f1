"""Cost of a sentence for Ref-Diff's attention: ours, against everything anew for each sentence.

    python tools/analysis_tools/referring_cost.py --width 0.25 --size 512 --threads 1

The other way encodes the image for every sentence, runs the whole U-Net for one sentence at a time,
and computes all attention maps of all layers, where ours keeps a column of five. A Stable Diffusion
1.5 of random weights, with all channels times --width, is written to a temporary folder; give
--checkpoint to measure weights of your own. Both ways take turns in one process and must find equal
maps, up to the 8 bits that the method has.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'model_converters'))
from ldm_to_diffusers import CLASSES, CONFIGS

from mmdiffseg.diffusion import Draws
from mmdiffseg.engine import command_line
from mmdiffseg.engine.measure import environment, peak_memory, time_interleaved
from mmdiffseg.engine.to_folder import write_clip_tokenizer
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.referring import CrossAttentionLocalizer, RuleRootTokenFinder

SENTENCES = (
    'the man on the left',
    'a woman with an umbrella',
    'the red bus',
    'the dog lying under the table',
    'the tall tree',
    'the cat',
    'the bicycle next to the wall',
    'the second chair',
)


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('--checkpoint', help='Stable Diffusion folder instead of random weights')
    parser.add_argument('--width', type=float, default=1.0, help='of random weights (%(default)s)')
    parser.add_argument(
        '--size', type=command_line.positive, default=1024, help='pixels (%(default)s)'
    )
    parser.add_argument(
        '--sentences', type=command_line.positive, default=4, help='about one image (%(default)s)'
    )
    parser.add_argument('--runs', type=command_line.positive, default=3, help='timed calls of each')
    parser.add_argument('--warmup', type=int, default=1, help='calls of each before that')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=command_line.positive, help='CPU threads')
    args = parser.parse_args()
    if not 1 <= args.sentences <= len(SENTENCES):
        parser.error(f'--sentences {args.sentences}: 1 to {len(SENTENCES)} are there')
    if (320 * args.width) % 32:
        parser.error(f'--width {args.width}: 320 times it must be a multiple of 32')
    return args


def write_random(folder: Path, width: float) -> None:
    """Write a Stable Diffusion 1.5 of random weights, all channels times a factor."""
    for part, (library, name) in CLASSES.items():
        if part == 'tokenizer':
            write_clip_tokenizer(folder / part)
            continue
        cls, config = getattr(import_extra(library), name), dict(CONFIGS[part])
        if part in ('unet', 'vae'):
            config['block_out_channels'] = [int(width * c) for c in config['block_out_channels']]
        if part == 'text_encoder':
            config = import_extra(library).CLIPTextConfig(**config)
            cls(config).save_pretrained(folder / part)
        else:
            cls.from_config(config).save_pretrained(folder / part)


def at_once(localizer: CrossAttentionLocalizer, image: NDArray, texts: Sequence[str]) -> Tensor:
    """Our way: the image once, all sentences in one batch."""
    roots = [RuleRootTokenFinder().find(text) for text in texts]
    draws = Draws.named(texts, seed=0)
    moments = localizer.encode_image(image)
    return localizer(moments, texts, roots, size=image.shape[:2], draws=draws)


def one_by_one(localizer: CrossAttentionLocalizer, image: NDArray, texts: Sequence[str]) -> Tensor:
    """Everything for each sentence, with attention that writes all of its maps."""
    plain = import_extra('diffusers').models.attention_processor.AttnProcessor
    fused = localizer.unet.attn_processors
    localizer.unet.set_attn_processor(plain())
    try:
        return torch.cat([at_once(localizer, image, [text]) for text in texts])
    finally:
        localizer.unet.set_attn_processor(fused)


def main(args: Namespace) -> None:
    """Measure and print."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        if not args.checkpoint:
            write_random(Path(folder), args.width)
        localizer = CrossAttentionLocalizer(
            checkpoint=args.checkpoint or folder,
            image_size=args.size,
            max_batch=len(SENTENCES),
        )
    localizer.to(device).eval()
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    texts = SENTENCES[: args.sentences]
    found = {}

    def call(name: str, way) -> None:
        found[name] = way(localizer, image, texts)

    ways = {'one by one': one_by_one, 'at once': at_once}
    calls = {name: partial(call, name, way) for name, way in ways.items()}
    with torch.no_grad():
        print(', '.join(f'{key} {value}' for key, value in environment(device).items()))
        parameters = sum(p.numel() for p in localizer.unet.parameters())
        print(f'{args.sentences} sentences, {args.size} pixels, U-Net of {parameters:,} parameters')
        memory = {name: peak_memory(function, device) for name, function in calls.items()}
        seconds = time_interleaved(calls, runs=args.runs, warmup=args.warmup, device=device)
    for name, value in seconds.items():
        peak = '' if memory[name] is None else f', {memory[name]:.0f} MiB at most'
        print(f'{name}: {value / args.sentences:.2f} s a sentence{peak}')
    print(f'ratio: {seconds["one by one"] / seconds["at once"]:.2f}')
    first, second = found.values()
    print(f'mean difference of the maps: {(first - second).abs().mean():.1e} of 1')


if __name__ == '__main__':
    command_line.run(main, parse_args)
