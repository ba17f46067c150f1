"""Does an in-context model follow its prompts? Scores beside controls and trivial answers.

    python tools/analysis_tools/in_context_controls.py \
        configs/ref_ldm_seg/refldmseg-f_shapes.py CHECKPOINT --data-root data/shapes-64

Scores on the episodes of Shapes: all of them, those whose concept was seen in training or held out,
and those whose query has another shape of the concept's colour:

* the model with 1, 3 and 5 prompts;
* controls: prompts of another concept, and prompts without foreground, for the same truth;
* trivial answers: the whole picture, all its shapes, one of its shapes at random (the mean over
  them), and the mask of the prompt, copied.

mIoU pools pixels by concept, as mmdiffseg.InContextIoUMetric does. The scores go to
in_context_controls.json in --out-dir.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from prettytable import PrettyTable

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.datasets import ShapesInContextDataset
from mmdiffseg.datasets.transforms import LoadInstanceUnion
from mmdiffseg.engine import command_line, launch
from mmdiffseg.evaluation import binary_counts, class_iou, mean_iou
from mmdiffseg.models.in_context import InContextSegmentor
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.output_dir import check_new_file

SHOTS = (1, 3, 5)
SLICES: dict[str, Callable[[dict], bool]] = {
    'all': lambda episode: True,
    'seen': lambda episode: not episode['held_out'],
    'held out': lambda episode: episode['held_out'],
    'held out, rival of its colour': lambda episode: (
        episode['held_out'] and episode['same_colour_distractor']
    ),
}


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--data-root', help='instead of what the config says')
    parser.add_argument(
        '--episodes', type=command_line.positive, help='how many, spread evenly over the list (all)'
    )
    parser.add_argument('--batch-size', type=command_line.positive, default=16)
    parser.add_argument('--seed', type=int, default=0, help='of the foreign prompts')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out-dir', type=Path, help='(work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def predicted(
    model: InContextSegmentor,
    episodes: list[dict],
    prompts_of: list[dict],
    *,
    shots: int = 1,
    area: int = 1,
) -> Iterator[NDArray]:
    """Yield the masks (H, W) that a model finds in the queries of some episodes.

    Args:
        model: The model.
        episodes: As the data set packs them.
        prompts_of: Episodes whose prompts are shown instead of their own.
        shots: How many of the prompts are shown.
        area: Factor for the masks of the prompts: 0 takes their foreground away.
    """
    batch = pseudo_collate(episodes)
    others = pseudo_collate(prompts_of)['inputs']
    batch['inputs'].update({key: others[key] for key in ('prompts', 'prompt_masks')})
    data = model.data_preprocessor(batch)
    inputs = data['inputs']
    inputs['prompts'] = inputs['prompts'][:, :shots]
    inputs['prompt_masks'] = inputs['prompt_masks'][:, :shots] * area
    for sample in model.predict(inputs, data['data_samples']):
        yield sample.pred_sem_seg.data[0].cpu().numpy()


def shape_masks(dataset: ShapesInContextDataset, position: int) -> list[NDArray]:
    """Masks (H, W) of all shapes in a picture."""
    load, masks = LoadInstanceUnion(), []
    info = dataset.source.get_data_info(position)
    for instance in info['instances']:
        results = dict(info, instance_ids=[instance['id']], ori_shape=info['size'], seg_fields=[])
        masks.append(load.transform(results)['gt_seg_map'])
    return masks


def trivial(dataset: ShapesInContextDataset, entry: dict, gt: NDArray) -> dict[str, NDArray]:
    """Counts of the trivial answers to one episode."""
    shapes = shape_masks(dataset, entry['query'])
    concept = dataset.concepts[entry['concepts'][0]]
    prompt = dataset.view(entry['prompts'][0], concept)
    prompt = LoadInstanceUnion().transform(dict(prompt, ori_shape=prompt['size']))['gt_seg_map']
    return {
        'whole picture': binary_counts(np.ones_like(gt), gt),
        'all shapes': binary_counts(np.maximum.reduce(shapes), gt),
        'a shape at random': np.mean([binary_counts(shape, gt) for shape in shapes], axis=0),
        'mask of the prompt': binary_counts(prompt, gt),
    }


def foreign(dataset: ShapesInContextDataset, indices: NDArray, seed: int) -> list[int]:
    """For each episode one of another concept."""
    rng = np.random.default_rng(seed)
    classes = np.array([episode['class_id'] for episode in dataset.listed])
    return [int(rng.choice(np.flatnonzero(classes != classes[i]))) for i in indices]


@torch.no_grad()
def evaluate(
    model: InContextSegmentor, dataset: ShapesInContextDataset, args: Namespace
) -> dict[str, list[tuple]]:
    """(episode, counts) of every episode under every answer."""
    indices = np.arange(len(dataset))
    if args.episodes is not None:
        indices = np.linspace(0, len(dataset) - 1, args.episodes).astype(int)
    partners = foreign(dataset, indices, args.seed)
    counts = {}
    for first in track_iter_progress(range(0, len(indices), args.batch_size)):
        chunk = slice(first, first + args.batch_size)
        episodes = [dataset[i] for i in indices[chunk]]
        strangers = [dataset[i] for i in partners[chunk]]
        ways = {
            f'{shots} prompt{"s" if shots > 1 else ""}': (episodes, dict(shots=shots))
            for shots in SHOTS
        }
        ways['prompt of another concept'] = (strangers, {})
        ways['prompt without foreground'] = (episodes, dict(area=0))
        gts = [e['data_samples'].gt_sem_seg.data[0].numpy() for e in episodes]
        for name, (prompts_of, change) in ways.items():
            masks = predicted(model, episodes, prompts_of, **change)
            for i, mask, gt in zip(indices[chunk], masks, gts, strict=True):
                row = (dataset.listed[i], binary_counts(mask, gt))
                counts.setdefault(name, []).append(row)
        for i, gt in zip(indices[chunk], gts, strict=True):
            for name, count in trivial(dataset, dataset.get_data_info(i), gt).items():
                counts.setdefault(name, []).append((dataset.listed[i], count))
    return counts


def main(args: Namespace) -> None:
    """Evaluate and print."""
    out_dir = args.out_dir or Path('work_dirs', Path(args.config).stem)
    check_new_file(out_dir / 'in_context_controls.json', overwrite=args.overwrite)
    cfg = command_line.read_config(args.config, args.cfg_options)
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'test')
    init_default_scope(cfg.default_scope)
    cfg.test_dataloader.dataset.update(shots=max(SHOTS), only=None)  # seen and held-out concepts
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if not isinstance(dataset, ShapesInContextDataset):
        raise TypeError(f'the controls need a ShapesInContextDataset, got {type(dataset).__name__}')
    model = MODELS.build(cfg.model)
    weights = load_checkpoint_file(args.checkpoint)['state_dict']
    load_exactly(model, weights, source=args.checkpoint)
    counts = evaluate(model.to(args.device).eval(), dataset, args)

    scores, table = {}, PrettyTable(['mIoU', *SLICES])
    for name, rows in counts.items():
        scores[name] = {}
        for part, belongs in SLICES.items():
            ious = class_iou((e['class_id'], count) for e, count in rows if belongs(e))
            scores[name][part] = 100 * mean_iou(ious, ious) if ious else None
        values = scores[name].values()
        table.add_row([name, *('' if value is None else f'{value:.1f}' for value in values)])
    rows = next(iter(counts.values()))
    sizes = {part: sum(belongs(e) for e, _ in rows) for part, belongs in SLICES.items()}
    table.add_row(['episodes', *sizes.values()])
    print(f'\n{table}')
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / 'in_context_controls.json'
    path.write_text(json.dumps(dict(episodes=sizes, mean_iou=scores), indent=1))
    print(f'Written: {path}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
