"""Scores of referring models by kind of expression, beside what chance gives.

    python tools/analysis_tools/referring_table.py configs/ref_diff/ref-diff_tiny_shapes*.py \
        --proposals data/shapes-64/proposals_val.json --sentences 600

Chance is the whole image, and the largest or a random one of some proposals (the mean over them).
Every config is tested on the same sentences, spread over its data set. Written to --out-dir as
referring_table.json.
"""

import json
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from prettytable import PrettyTable

from mmdiffseg.engine import command_line, launch
from mmdiffseg.models.referring import PrecomputedProposer
from mmdiffseg.output_dir import check_new_file


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--proposals', required=True, help='masks for chance, see the proposers')
    parser.add_argument(
        '--sentences', type=command_line.positive, help='so many, spread over the data set (all)'
    )
    parser.add_argument('--data-root', help='instead of what the configs say')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/referring'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier figures')
    return parser.parse_args()


def overlap(mask: NDArray, gt: NDArray) -> NDArray:
    """Intersection and union of two masks (H, W)."""
    return np.array([(mask & gt).sum(), (mask | gt).sum()])


def chance(proposals: NDArray, gt: NDArray) -> dict[str, list[NDArray]]:
    """Overlap of the answers that know nothing; several where one is drawn."""
    largest = proposals[proposals.sum(axis=(1, 2)).argmax()]
    return {
        'whole image': [overlap(np.ones_like(gt), gt)],
        'largest proposal': [overlap(largest, gt)],
        'random proposal': [overlap(proposal, gt) for proposal in proposals],
    }


def scores(rows: Iterable[list[NDArray]]) -> tuple[float, float]:
    """The oIoU and mIoU, in percent, of sentences with one answer or several as likely ones."""
    rows = list(rows)
    inter, union = sum(np.mean(answers, axis=0) for answers in rows)
    ious = [np.mean([i / u for i, u in answers]) for answers in rows]
    return 100 * float(inter / union), 100 * float(np.mean(ious))


def main(args: Namespace) -> None:
    """Test and print."""
    check_new_file(args.out_dir / 'referring_table.json', overwrite=args.overwrite)
    proposer = PrecomputedProposer(path=args.proposals)
    answers, kinds = {}, []
    for path in args.configs:
        cfg = command_line.read_config(path, {})
        if args.data_root:
            launch.set_data_root(cfg, args.data_root)
        launch.check_data_roots(cfg, 'test')
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        indices = np.arange(len(dataset))
        if args.sentences is not None:
            indices = np.linspace(0, len(dataset) - 1, args.sentences).astype(int)
        model = MODELS.build(cfg.model).to(args.device)
        name, kinds = Path(path).stem, []
        print(name)
        for index in track_iter_progress(indices.tolist()):
            data = model.data_preprocessor(pseudo_collate([dataset[index]]))
            (sample,) = model(**data, mode='predict')
            gt = sample.gt_sem_seg.data[0].cpu().numpy() == 1  # (1, H, W) -> (H, W)
            (mask,) = sample.pred_instances.masks.cpu().numpy()
            answers.setdefault(name, []).append([overlap(mask, gt)])
            kinds.append(sample.get('kind') or 'sentence')
            if path == args.configs[-1]:
                masks = proposer(np.zeros((*gt.shape, 3)), Path(sample.img_path).name).numpy()
                for way, rows in chance(masks, gt).items():
                    answers.setdefault(way, []).append(rows)
    parts = {'all': range(len(kinds))} | {
        kind: [i for i, other in enumerate(kinds) if other == kind] for kind in sorted(set(kinds))
    }
    table = PrettyTable(['oIoU / mIoU', *parts])
    results = {
        name: {part: scores(rows[i] for i in members) for part, members in parts.items()}
        for name, rows in answers.items()
    }
    for name, row in results.items():
        table.add_row([name, *(f'{oiou:.1f} / {miou:.1f}' for oiou, miou in row.values())])
    table.add_row(['sentences', *map(len, parts.values())])
    print(f'\n{table}')
    args.out_dir.mkdir(parents=True, exist_ok=True)
    path = args.out_dir / 'referring_table.json'
    sizes = {part: len(members) for part, members in parts.items()}
    path.write_text(json.dumps(dict(sentences=sizes, oiou_miou=results), indent=1))
    print(f'Written: {path}')


if __name__ == '__main__':
    command_line.run(main, parse_args)
