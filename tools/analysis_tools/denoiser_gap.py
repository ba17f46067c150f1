"""How much of what noisy maps say does a network read?

    python tools/analysis_tools/denoiser_gap.py CONFIG CHECKPOINT --steps 8 --images 40

On data whose distribution is known exactly, such as Ambiguous Shapes, Bayes' rule says what an
ideal network would answer, see perfect_denoiser.py. At every time of a chain, maps of raters are
corrupted, and both say which clean classes they came from. Prints the mean cross-entropy in nats of
both, at the pixels that raters label differently and at the others, and writes denoiser_gap.json.

At pixels that all label alike the ideal network is always right: what the network loses there it
does not see. Where they differ, the gap grows at the times at which the network does not find in
the noise what the rater chose.
"""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DATASETS
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable
from torch import Tensor

import mmdiffseg
from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.known_modes import KnownModes
from mmdiffseg.engine import command_line
from mmdiffseg.output_dir import check_new_file

#: as in the metric: no single pixel costs more
LEAST = 1e-6
COLUMNS = ('network, differ', 'exact, differ', 'network, alike', 'exact, alike')


def parse_args() -> Namespace:
    """Read and check the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='of a head that diffuses classes; tests on raters')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--data-root', help='where the data lie')
    command_line.add_cfg_options(parser)
    parser.add_argument('--steps', type=command_line.positive, default=8, help='(%(default)s)')
    parser.add_argument('--draws', type=command_line.positive, default=4, help='an image (4)')
    parser.add_argument('--images', type=command_line.positive, help='only the first so many')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/denoiser_gap'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    return parser.parse_args()


def cross_entropies(probs: Tensor, labels: Tensor, alike: Tensor) -> list[float]:
    """At the pixels (h, w) that are not alike, and at those that are; NaN where there are none.

    Args:
        probs: Class probabilities (B, K, h, w).
        labels: True classes (B, h, w).
        alike: Pixels (h, w) that all raters label alike.
    """
    losses = -probs.gather(1, labels[:, None])[:, 0].clamp(min=LEAST).log()
    return [losses[:, ~alike].mean().item(), losses[:, alike].mean().item()]


@torch.no_grad()
def gaps(
    model: torch.nn.Module, image: Tensor, modes: Tensor, weights: Tensor, args: Namespace
) -> dict[float, list[float]]:
    """What `COLUMNS` says of one image (3, H, W), by the times of a chain."""
    head = model.decode_head
    sampler, schedule = head.diffusion_sampler, head.noise_schedule
    known = KnownModes(modes, weights, schedule=schedule)
    generator = torch.Generator().manual_seed(args.seed)
    drawn = torch.multinomial(weights, args.draws, replacement=True, generator=generator)
    labels, alike = modes[drawn], (modes == modes[0]).all(dim=0)
    feature = head._transform_inputs(model.extract_feat(image[None]))
    context = head.prepare(feature, [{}])
    clean = schedule.one_hot(labels).float()
    draws = Draws(generator=generator)
    onehot = torch.nn.functional.one_hot(modes, head.num_classes).permute(0, 3, 1, 2).double()
    found = {}
    for now in sampler.coefficients([t for t, _ in sampler.time_pairs(args.steps)]):
        noise = schedule.draw_noise(draws, f'{now.t}', clean.shape, clean.device)
        z_t, t = sampler.corrupt(clean, noise, now), torch.tensor([now.t])
        output, _ = head.predict_step(z_t, t, context)
        exact = torch.einsum('bm,mkhw->bkhw', known.posterior(z_t, t), onehot)
        rows = [cross_entropies(p, labels, alike) for p in (head.probabilities(output), exact)]
        found[now.t] = [rows[0][0], rows[1][0], rows[0][1], rows[1][1]]
    return found


def main(args: Namespace) -> None:
    """Compare, print and write."""
    file = args.out_dir / 'denoiser_gap.json'
    check_new_file(file, overwrite=args.overwrite)
    config = command_line.read_config(args.config, args.cfg_options)
    if args.data_root:
        config.test_dataloader.dataset.data_root = args.data_root
    model = mmdiffseg.load(config=config, checkpoint=args.checkpoint, device='cpu').model
    if not isinstance(getattr(model.decode_head, 'noise_schedule', None), CategoricalDiffusion):
        raise ValueError(
            f'{args.config}: {type(model.decode_head).__name__} gives no class probabilities of '
            'noisy maps: take a CategoricalMapHead'
        )
    dataset = DATASETS.build(config.test_dataloader.dataset)
    images = []
    for index in track_iter_progress(range(len(dataset))[: args.images]):
        data = dataset[index]
        sample = data['data_samples']
        if 'rater_weights' not in sample:
            raise ValueError(f'{sample.img_path} has no weights: the distribution is not known')
        batch = dict(inputs=[data['inputs']], data_samples=[sample])
        (image,) = model.data_preprocessor(batch)['inputs']
        modes, weights = sample.gt_raters.data.long(), torch.tensor(sample.rater_weights)
        images.append(gaps(model, image, modes, weights, args))
    text = PrettyTable(['time', *COLUMNS], align='r')
    records = []
    for t in images[0]:
        means = np.nanmean([of_image[t] for of_image in images], axis=0).tolist()
        records.append(dict(time=t, **dict(zip(COLUMNS, means, strict=True))))
        text.add_row([f'{t:.4g}', *(f'{value:.4f}' for value in means)])
    print(f'\n{text}')
    args.out_dir.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records, indent=1))
    print(f'Written: {file}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
