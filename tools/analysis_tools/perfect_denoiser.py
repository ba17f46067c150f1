"""How far a chain of so many steps misses the truth although its denoiser is perfect.

    python tools/analysis_tools/perfect_denoiser.py CONFIG --steps 1 2 4 8 16 32 64 250

On data whose distribution is known exactly, such as Ambiguous Shapes, the ideal answer to every
noisy map is a sum over all clean maps. The chains of the config's schedule and sampler are walked
with this answer instead of a network's. Writes the samples to OUT_DIR/steps_N/IMAGE.npz, which
samples_vs_quality.py and mode_census.py read.
"""

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.utils import track_iter_progress

from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.known_modes import KnownModes
from mmdiffseg.engine import command_line
from mmdiffseg.evaluation.distributions.sample_files import write_samples
from mmdiffseg.models.diffusion_head import DiffusionHead


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='of a stochastic head; its test set has raters and weights')
    parser.add_argument('--data-root', help='where the data lie')
    command_line.add_cfg_options(parser)
    parser.add_argument(
        '--steps', type=command_line.positive, nargs='+', default=[1, 2, 4, 8, 16, 32, 64, 250]
    )
    parser.add_argument(
        '--generations', type=command_line.positive, default=16, help='an image (%(default)s)'
    )
    parser.add_argument('--images', type=command_line.positive, help='only the first so many')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/perfect_denoiser'))
    args = parser.parse_args()
    if args.generations < 1 or (args.images is not None and args.images < 1):
        parser.error('--generations and --images count from 1')
    if args.out_dir.is_dir() and any(args.out_dir.iterdir()):
        parser.error(f'{args.out_dir} is not empty: choose another folder, or remove it')
    return args


@torch.no_grad()
def samples_of(
    head: DiffusionHead, known: KnownModes, name: str, *, steps: int, generations: int, seed: int
) -> np.ndarray:
    """Label maps (G, h, w) at the ends of the chains of one image."""
    size = tuple(known.modes.shape[1:])
    meta = dict(img_path=name)
    chain = head.diffusion_sampler.walk(
        known.predict,
        known.encode,
        shape=(generations, head.label_encoder.channels, *size),
        steps=steps,
        draws=Draws.named([head.noise_name(meta, size, g) for g in range(generations)], seed=seed),
        device=torch.device('cpu'),
    )
    for step in chain:
        last = step
    return known.labels(last.x0).numpy()


def main(args: Namespace) -> None:
    """Walk the chains and write where they end."""
    config = command_line.read_config(args.config, args.cfg_options)
    init_default_scope(config.default_scope)
    head = MODELS.build(config.model).decode_head
    if not hasattr(getattr(head, 'label_encoder', None), 'channels'):
        raise ValueError(f'{args.config}: {type(head).__name__} has no chain of diffusion')
    for steps in args.steps:
        head.diffusion_sampler.time_pairs(steps)  # refuses impossible numbers at once
    if args.data_root:
        config.test_dataloader.dataset.data_root = args.data_root
    dataset = DATASETS.build(config.test_dataloader.dataset)
    for index in track_iter_progress(range(len(dataset))[: args.images]):
        sample = dataset[index]['data_samples']
        if 'rater_weights' not in sample:
            raise ValueError(f'{sample.img_path} has no weights: the distribution is not known')
        modes, weights = sample.gt_raters.data, torch.tensor(sample.rater_weights)
        categorical = isinstance(head.noise_schedule, CategoricalDiffusion)
        known = KnownModes(
            modes,
            weights,
            schedule=head.noise_schedule,
            label_encoder=None if categorical else head.label_encoder,
        )
        name = Path(sample.img_path)
        for steps in args.steps:
            drawn = samples_of(
                head, known, name.name, steps=steps, generations=args.generations, seed=args.seed
            )
            path = args.out_dir / f'steps_{steps}' / f'{name.stem}.npz'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_samples(path, samples=drawn, raters=modes.numpy(), weights=weights.numpy())
    print(f'\nWritten: {args.out_dir}/steps_*')


if __name__ == '__main__':
    command_line.run(main, parse_args)
