"""Calibrate, check and show guarantees: `tools/analysis_tools/conformal.py`."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.engine import command_line, launch
from mmdiffseg.guarantee import KINDS, RISKS, describe_guarantee, picture_code
from mmdiffseg.output_dir import check_new_file, claim_output_dir, finish_output_dir

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmdiffseg.apis.segmenter import Segmenter
    from mmdiffseg.evaluation.conformal import Promise

CORRUPTIONS = ('blur', 'noise', 'jpeg', 'brightness')
SHOWN = (0.05, 0.1, 0.2)


def parse_args(description: str) -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(description)
    tasks = parser.add_subparsers(dest='task', required=True, metavar='{calibrate,check,show}')

    calibrate = _add_task(tasks, 'calibrate', 'fit a guarantee and write it')
    calibrate.add_argument('--alpha', type=float, default=0.1, help='promised risk (%(default)s)')
    calibrate.add_argument(
        '--share',
        type=float,
        default=1.0,
        help='share of the images to calibrate on, drawn by --seed (all); trust_report.py tests '
        'the guarantee on those that are left',
    )
    calibrate.add_argument(
        '--into', type=Path, help='checkpoint, or folder of a shared model, to write it into'
    )
    calibrate.add_argument('--overwrite', action='store_true', help='replace its guarantee')

    check = _add_task(tasks, 'check', 'calibrate and test on random splits')
    check.add_argument('--alpha', type=float, nargs='+', default=list(SHOWN), help='(%(default)s)')
    check.add_argument(
        '--splits', type=command_line.positive, default=100, help='random splits (%(default)s)'
    )
    check.add_argument('--share', type=float, default=0.5, help='to calibrate on (%(default)s)')
    check.add_argument(
        '--corrupt',
        nargs=2,
        metavar=('KIND', 'STRENGTH'),
        help=f'test on worse pictures: {", ".join(CORRUPTIONS)}, strength 1 to 5',
    )
    check.add_argument('--out', type=Path, help='new JSON file for the figures')
    check.add_argument('--overwrite', action='store_true', help='replace that file')

    show = _add_task(tasks, 'show', 'draw what guarantees admit')
    show.add_argument('--share', type=float, default=0.5, help='to calibrate on (%(default)s)')
    show.add_argument(
        '--pages', type=command_line.positive, default=8, help='other images to draw (%(default)s)'
    )
    show.add_argument('--out-dir', type=Path, required=True, help='folder for the pages')
    show.add_argument('--overwrite', action='store_true', help='take a folder with other files')
    return parser.parse_args()


def _add_task(tasks, name: str, summary: str) -> ArgumentParser:
    parser = tasks.add_parser(name, help=summary, description=summary)
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--kind', choices=KINDS, help='(threshold for two classes, set for more classes)'
    )
    risks = '; '.join(f'{risk}: {meaning}' for risk, meaning in RISKS.items())
    parser.add_argument('--risk', choices=tuple(RISKS), default='missed', help=risks)
    parser.add_argument(
        '--from-samples', action='store_true', help='from the votes of the samples of the model'
    )
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='(%(default)s)')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument('--seed', type=int, default=0, help='of random splits (%(default)s)')
    command_line.add_cfg_options(parser)
    return parser


def main(args: Namespace) -> dict | list[dict] | None:
    """Do the task."""
    if not 0 < args.share <= 1:
        raise ValueError(f'--share {args.share:g} must lie in (0, 1]')
    cfg = command_line.read_config(args.config, args.cfg_options)
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, args.split)
    launch.check_checkpoint(args.checkpoint)
    return dict(calibrate=_calibrate, check=_check, show=_show)[args.task](args, cfg)


def _calibrate(args: Namespace, cfg: 'Config') -> dict:
    if args.into:
        _check_target(args.into, overwrite=args.overwrite)
    from mmdiffseg.apis.labelled import load_for_report
    from mmdiffseg.evaluation.conformal import calibrate, fingerprint

    segmenter = load_for_report(cfg, args.checkpoint)
    promise, curves, names = _curves(args, cfg, segmenter, share=args.share)
    guarantee = calibrate(
        curves,
        promise,
        alpha=args.alpha,
        model=fingerprint(segmenter.model),
        # which noise it draws is no part of the promise
        settings={name: n for name, n in segmenter.settings.items() if name != 'seed'},
        calibrated_on=dict(
            data=cfg[f'{args.split}_dataloader'].dataset.type,
            pictures=[picture_code(name) for name in names],
        ),
    )
    print(describe_guarantee(guarantee))
    if args.into:
        write_guarantee(args.into, guarantee)
        print(f'Written into {args.into}')
    return guarantee


def _check(args: Namespace, cfg: 'Config') -> list[dict]:
    from prettytable import PrettyTable

    from mmdiffseg.apis.labelled import load_for_report
    from mmdiffseg.evaluation.conformal import check_splits

    if args.out:
        check_new_file(args.out, overwrite=args.overwrite)
    corrupt = None
    if args.corrupt:
        kind, strength = args.corrupt
        if kind not in CORRUPTIONS or strength not in '12345':
            raise ValueError(
                f'--corrupt {kind} {strength}: give one of {", ".join(CORRUPTIONS)} and a strength '
                'from 1 to 5'
            )
        corrupt = dict(kind=kind, strength=int(strength))
    segmenter = load_for_report(cfg, args.checkpoint)
    promise, curves, _ = _curves(args, cfg, segmenter)
    tested = _curves(args, cfg, segmenter, corrupt=corrupt)[1] if corrupt else None
    options = dict(tested=tested, splits=args.splits, share=args.share, seed=args.seed)
    rows = [check_splits(curves, alpha, **options) for alpha in args.alpha]
    rows = [dict(kind=promise.kind, risk=promise.risk, source=promise.source) | r for r in rows]
    text = PrettyTable(['alpha', 'mean risk', 'splits above', 'expected'], align='r')
    for row in rows:
        text.add_row(
            [
                f'{row["alpha"]:g}',
                f'{row["mean_risk"]:.4f}',
                f'{row["above"]:.2f}',
                f'{row["expected_above"]:.2f}',
            ]
        )
    print(
        f'{args.splits} random splits of {len(curves)} images, {rows[0]["calibration_images"]} to '
        f'calibrate on{f", the others with {kind} {strength}" if corrupt else ""}:\n{text}'
    )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(rows, indent=1))
    return rows


def _show(args: Namespace, cfg: 'Config') -> None:
    import mmcv

    from mmdiffseg.apis.labelled import build_pictures, load_for_report, predict
    from mmdiffseg.evaluation.conformal import calibrate
    from mmdiffseg.visualization.pages.guarantee import guarantee_page

    claim_output_dir(args.out_dir, inputs=launch.data_folders(cfg), overwrite=args.overwrite)
    segmenter = load_for_report(cfg, args.checkpoint)
    promise, curves, _ = _curves(args, cfg, segmenter, share=args.share)
    guarantees = {alpha: calibrate(curves, promise, alpha=alpha, model='') for alpha in SHOWN}
    pictures = build_pictures(cfg, args.split)
    _, others = _split(len(pictures), args.share, args.seed)
    loader = cfg[f'{args.split}_dataloader']
    for image in predict(segmenter, pictures, others[: args.pages], loader):
        page = guarantee_page(
            mmcv.imread(image.path, channel_order='rgb'),
            image.probability,
            guarantees,
            samples=image.samples,
            labels=image.raters[0],
        )
        mmcv.imwrite(page[..., ::-1], str(args.out_dir / f'{Path(image.path).stem}.png'))
    finish_output_dir(args.out_dir)
    print(f'Written: {args.out_dir}')


def _curves(
    args: Namespace,
    cfg: 'Config',
    segmenter: 'Segmenter',
    *,
    share: float = 1.0,
    corrupt: dict | None = None,
) -> tuple['Promise', NDArray, list[str]]:
    """The promise, and the risk curves and names of a random share of the images."""
    from mmengine.utils import track_iter_progress

    from mmdiffseg.apis.labelled import build_pictures, predict
    from mmdiffseg.evaluation.conformal import Promise, check_promise, risk_curve

    pictures = build_pictures(cfg, args.split, corrupt=corrupt)
    chosen, _ = _split(len(pictures), share, args.seed)
    used = len(chosen) if args.task != 'check' else round(args.share * len(pictures))
    for alpha in np.atleast_1d(getattr(args, 'alpha', SHOWN)):
        check_promise(alpha, used)  # before anything is predicted
    kind = args.kind or ('threshold' if len(pictures.metainfo['classes']) == 2 else 'set')
    promise = Promise(kind, args.risk, 'samples' if args.from_samples else 'probability')
    found = predict(segmenter, pictures, chosen, cfg[f'{args.split}_dataloader'])
    curves, names, objects = [], [], False
    for image in track_iter_progress((found, len(chosen))):
        if len(image.raters) > 1:
            raise ValueError(
                f'{image.path} has {len(image.raters)} raters: a guarantee is calibrated against '
                'one label map an image'
            )
        (labels,) = image.raters
        # with many classes every pixel is an object of its class
        objects |= bool((labels == 1).any()) or kind == 'set'
        curves.append(risk_curve(image.probability, labels, promise, samples=image.samples))
        names.append(image.path)
    print()
    if not objects:
        raise ValueError(
            f'none of the {len(names)} images to calibrate on has foreground, so no risk can be '
            'seen: calibrate on images with objects'
        )
    return promise, np.stack(curves), names


def _split(images: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    order = np.random.default_rng(seed).permutation(images)
    first = round(share * images)
    return sorted(order[:first].tolist()), sorted(order[first:].tolist())


def _check_target(target: Path, *, overwrite: bool) -> None:
    """Look whether a guarantee can be written, before anything is computed."""
    if not target.exists():
        raise FileNotFoundError(f'there is no {target} to write the guarantee into')
    if read_guarantee(target) and not overwrite:
        raise FileExistsError(f'{target} has a guarantee already: give --overwrite to replace it')


def read_guarantee(source: Path) -> dict | None:
    """The guarantee in a checkpoint, or in the folder of a shared model, if there is one."""
    if source.is_dir():
        return json.loads(_config_file(source).read_text('utf-8')).get('meta', {}).get('guarantee')
    from mmdiffseg.compat.checkpoint import load_checkpoint_file

    return load_checkpoint_file(source).get('meta', {}).get('guarantee')


def write_guarantee(target: Path, guarantee: dict) -> None:
    """Write a guarantee into a checkpoint, or into the folder of a shared model.

    The file is replaced only once the new one is whole.
    """
    if target.is_dir():
        path = _config_file(target)
        content = json.loads(path.read_text('utf-8'))
        content.setdefault('meta', {})['guarantee'] = guarantee
        new = path.with_suffix('.part')
        new.write_text(json.dumps(content, indent=1), 'utf-8')
    else:
        import torch

        from mmdiffseg.compat.checkpoint import load_checkpoint_file

        path = target
        checkpoint = load_checkpoint_file(path)
        checkpoint.setdefault('meta', {})['guarantee'] = guarantee
        new = path.with_suffix('.part')
        torch.save(checkpoint, new)
    new.replace(path)


def _config_file(folder: Path) -> Path:
    path = folder / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'{folder} has no config.json, so it is not a model folder')
    return path
