"""One report on how far models can be trusted: `tools/analysis_tools/trust_report.py`."""

import argparse
import json
import math
import time
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmdiffseg.engine import command_line, launch
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir

if TYPE_CHECKING:
    from mmengine.config import Config
    from numpy.typing import NDArray
    from torch.utils.data import Dataset

    from mmdiffseg.evaluation.trust.account import Account
    from mmdiffseg.evaluation.trust.labelled import LabelledPrediction

CORRUPTIONS = ('blur', 'noise', 'jpeg', 'brightness')
STRENGTHS = range(1, 6)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the report."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--against',
        nargs=2,
        action='append',
        default=[],
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model; differences are to the first of these',
    )
    parser.add_argument('--out-dir', type=Path, help='(work_dirs/trust_NAME_OF_CONFIG)')
    parser.add_argument('--overwrite', action='store_true', help='take a folder with other files')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='(%(default)s)')
    parser.add_argument('--images', type=command_line.positive, help='only the first so many')
    parser.add_argument('--data-root', help='where the data lie, instead of what the configs say')
    parser.add_argument(
        '--temperature',
        type=_share,
        metavar='SHARE',
        help='fit a temperature on this share of the images, and leave them out of the report',
    )
    parser.add_argument(
        '--corrupt',
        nargs='*',
        choices=CORRUPTIONS,
        metavar='KIND',
        help=f'also on worse pictures, 5 strengths each: {", ".join(CORRUPTIONS)} (all)',
    )
    parser.add_argument(
        '--resamples', type=command_line.positive, default=1000, help='(%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of splits, resamples (%(default)s)')
    command_line.add_cfg_options(parser)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'must lie between 0 and 1, got {text}')
    return value


def main(args: Namespace) -> dict:
    """Run all models, print the table, and write report.html and report.json.

    Returns:
        What stands in report.json.
    """
    pairs = [(args.config, args.checkpoint), *args.against]
    models = _named(pairs)
    configs = {}
    for name, (config, checkpoint) in models.items():
        # options of the command line change the model that the report is about
        cfg = command_line.read_config(config, {} if configs else args.cfg_options)
        if args.data_root:
            launch.set_data_root(cfg, args.data_root)
        launch.check_data_roots(cfg, args.split)
        launch.check_checkpoint(checkpoint)
        configs[name] = cfg
    out_dir = args.out_dir or Path('work_dirs', f'trust_{Path(args.config).stem}')
    inputs = set().union(*map(launch.data_folders, configs.values()))
    claim_output_dir(out_dir, inputs=inputs, overwrite=args.overwrite)

    from mmdiffseg.evaluation.trust.report import make_record
    from mmdiffseg.visualization.trust_page import trust_page

    accounts, corruptions = {}, {}
    for name, (_, checkpoint) in models.items():
        accounts[name], of_model = _run(name, configs[name], checkpoint, args)
        for kind, rows in of_model.items():
            corruptions.setdefault(kind, {})[name] = rows
    baseline = list(models)[1] if args.against else None
    record = make_record(accounts, baseline=baseline, resamples=args.resamples, seed=args.seed)
    for name, (config, checkpoint) in models.items():
        record['models'][name] |= dict(config=str(config), checkpoint=str(checkpoint))
    record |= dict(split=args.split, seed=args.seed, resamples=args.resamples)
    record['temperature_share'] = args.temperature
    if corruptions:
        record['corruptions'] = corruptions
    print('\n' + table(record))
    panels = {name: _panels(account) for name, account in accounts.items()}
    (out_dir / 'report.json').write_text(json.dumps(record, indent=1))
    (out_dir / 'report.html').write_text(trust_page(record, panels), encoding='utf-8')
    finish_output_dir(out_dir)
    print(f'Written: {out_dir}/report.html and report.json')
    return record


def _named(pairs: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Call models by their configs; by the checkpoint too, where configs share a name."""
    stems = [Path(config).stem for config, _ in pairs]
    names = [
        stem if stems.count(stem) == 1 else f'{stem} ({checkpoint})'
        for stem, (_, checkpoint) in zip(stems, pairs, strict=True)
    ]
    if len(set(names)) < len(names):
        raise ValueError(f'a model is named twice: {", ".join(names)}')
    return dict(zip(names, pairs, strict=True))


def _run(
    name: str, cfg: 'Config', checkpoint: str, args: Namespace
) -> tuple['Account', dict[str, list[dict]]]:
    """Predict all images with one model and account for it.

    Returns:
        The account; and for each kind of corruption the headline measures by strength, from 0.
    """
    from mmengine.utils import track_iter_progress

    from mmdiffseg.apis.labelled import build_pictures, load_for_report, predict
    from mmdiffseg.evaluation.trust.account import Account, reservoir_of
    from mmdiffseg.evaluation.trust.report import add_own, headlines
    from mmdiffseg.evaluation.trust.temperature import fit_temperature
    from mmdiffseg.guarantee import check_guarantee

    segmenter = load_for_report(cfg, checkpoint)
    guarantee = segmenter.meta.get('guarantee')
    if guarantee:
        check_guarantee(guarantee, model=guarantee['model'], settings=segmenter.settings)
    clean = build_pictures(cfg, args.split)
    fitted, measured = split(len(clean), args)
    meta = clean.metainfo

    def predictions(what: str, indices: list[int], pictures: 'Dataset' = clean):
        print(f'{name}: {what}')
        found = predict(segmenter, pictures, indices, cfg[f'{args.split}_dataloader'])
        yield from track_iter_progress((found, len(indices)))
        print()

    temperature = 1.0
    if fitted:
        reservoir = reservoir_of(predictions('fit a temperature', fitted), len(meta['classes']))
        temperature = fit_temperature(reservoir.log_probs, reservoir.labels)
    options = dict(temperature=temperature, guarantee=guarantee, device=segmenter.device)
    account = Account(meta, **options)
    start, measuring = time.perf_counter(), 0.0
    for image in predictions('measure', measured):
        before = time.perf_counter()
        account.add(image)
        measuring += time.perf_counter() - before
    predicting = time.perf_counter() - start - measuring
    print(f'{predicting:.1f} s to predict, {measuring:.1f} s to measure')
    if not account.names:
        raise ValueError(f'no pixel of the {len(measured)} images has a label: check the labels')
    corruptions = {}
    for kind in CORRUPTIONS if args.corrupt == [] else args.corrupt or ():
        rows = [account]
        for strength in STRENGTHS:
            worse = Account(meta, **options)
            corrupt = dict(kind=kind, strength=strength)
            pictures = build_pictures(cfg, args.split, corrupt=corrupt)
            for image in predictions(f'{kind}, strength {strength}', measured, pictures):
                worse.add(image)
            rows.append(worse)
        rows = [add_own(row.measures()) for row in rows]
        shown = headlines(dict(models={name: dict(measures=rows[0])}))
        corruptions[kind] = [
            {key: row[key] if math.isfinite(row[key]) else None for key in shown} for row in rows
        ]
    return account, corruptions


def split(images: int, args: Namespace) -> tuple[list[int], list[int]]:
    """Indices of the images to fit a temperature on, and of those to measure, both in order."""
    import numpy as np

    images = min(images, args.images or images)
    order = np.random.default_rng(args.seed).permutation(images)
    fitted = round((args.temperature or 0) * images)
    if args.temperature and not 0 < fitted < images:
        raise ValueError(
            f'--temperature {args.temperature} of {images} images leaves none to fit or none to '
            'measure: take another share'
        )
    return sorted(order[:fitted].tolist()), sorted(order[fitted:].tolist())


def table(record: dict) -> str:
    """The headline measures as text."""
    from prettytable import PrettyTable

    from mmdiffseg.evaluation.trust.report import headlines, verdict
    from mmdiffseg.visualization.trust_page import measure_text

    written = partial(measure_text, interval=' ({} to {})')
    baseline = record['baseline']
    text = PrettyTable(
        ['measure', *record['models'], *(f'{name} - {baseline}' for name in record['differences'])],
        align='r',
    )
    text.align['measure'] = 'l'
    for measure in headlines(record):
        cells = [written(model['measures'].get(measure)) for model in record['models'].values()]
        for differences in record['differences'].values():
            difference = differences.get(measure)
            said = '' if difference is None else f', {verdict(difference, measure)}'
            cells.append(written(difference, sign=True) + said)
        text.add_row([measure, *cells])
    return text.get_string()


def _panels(account: 'Account') -> dict[str, list]:
    """Pages about the images that a model is surest and least sure of."""
    import mmcv

    panels = {}
    for caption, shown in (
        ('the images it is surest of', account.surest),
        ('the images it is least sure of', account.least_sure),
    ):
        pictures = ((mmcv.imread(image.path, channel_order='rgb'), image) for _, _, image in shown)
        panels[caption] = [
            _panel(picture, image, account.meta)
            for picture, image in pictures
            # a pipeline may score pictures at another size
            if picture.shape[:2] == image.labels.shape
        ]
    return panels


def _panel(picture: 'NDArray', image: 'LabelledPrediction', meta: dict) -> 'NDArray':
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from mmdiffseg.visualization.pages.labels import draw_panel

    truth = image.raters[image.weights.argmax()]
    maps = dict(pred_sem_seg=image.labels, gt_sem_seg=truth, uncertainty=image.uncertainty)
    sample = SegDataSample()
    for name, map_ in maps.items():
        if map_ is not None:
            sample.set_data({name: PixelData(data=torch.from_numpy(map_)[None])})
    return draw_panel(picture, sample, {'prediction': sample.pred_sem_seg}, meta, columns=5)
