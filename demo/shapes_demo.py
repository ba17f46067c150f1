"""See a diffusion model learn to segment: generate data, train, test, draw, in minutes.

    python demo/shapes_demo.py

A small DDP and, beside it, a plain FCN on the same backbone learn the generated Shapes world, each
on a core of its own and for about the same time. Then DDP is tested at 1, 3 and 10 steps and under
the two controls of steps_vs_quality.py. What is already there is not done again: delete --work-dir
to start over.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.visualization.pages.labels import draw_panel

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / 'tools'
DDP = ROOT / 'configs/ddp/ddp_r18_shapes.py'
FCN = ROOT / 'configs/ddp/fcn_r18_shapes.py'
STEPS = (1, 3, 10)
PICTURES = 3  # rows of the panel


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data-root', type=Path, default=Path('data/shapes'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    return parser.parse_args()


def run(script: str, *options: object) -> None:
    """Run one of the tools, as a user would."""
    command = [sys.executable, str(TOOLS / script), *map(str, options)]
    print('\n$', ' '.join(['python', f'tools/{script}', *command[2:]]), flush=True)
    if subprocess.run(command).returncode:
        sys.exit(f'tools/{script} failed, see above')


def checkpoint_of(config: Path, work_dir: Path) -> Path:
    """Where the training of a config ends."""
    iterations = Config.fromfile(config).train_cfg.max_iters
    return work_dir / config.stem / f'iter_{iterations}.pth'


def train(work_dir: Path, data_root: Path) -> dict[str, Path]:
    """Train both models at once, a core each; the FCN's log goes to a file.

    Returns:
        The checkpoint of each.
    """
    checkpoints = {name: checkpoint_of(c, work_dir) for name, c in (('DDP', DDP), ('FCN', FCN))}
    running = []
    for name, config in (('FCN', FCN), ('DDP', DDP)):
        if checkpoints[name].exists():
            print(f'{name} is trained already: {checkpoints[name]}')
            continue
        folder = work_dir / config.stem
        folder.mkdir(parents=True, exist_ok=True)
        log = None if name == 'DDP' else (folder / 'console.log').open('w')
        options = ['--work-dir', folder, '--data-root', data_root, '--resume']
        command = [sys.executable, str(TOOLS / 'train.py'), str(config), *map(str, options)]
        print(f'Training {name}' + (f', its log in {folder}/console.log' if log else ', below'))
        running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
    try:
        failed = [process.args for process in running if process.wait() != 0]
    finally:
        for process in running:
            process.kill()
    if failed:
        sys.exit(f'training failed: {" ".join(failed[0])}')
    return checkpoints


def best_of(config: Path, work_dir: Path) -> float:
    """The last validation's mIoU, in percent, of a trained model."""
    logs = sorted((work_dir / config.stem).glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line['mIoU'] for line in lines if 'mIoU' in line][-1]


def draw(checkpoint: Path, data_root: Path, path: Path) -> None:
    """Draw the first validation pictures: steps side by side, uncertainty, errors."""
    cfg = Config.fromfile(DDP)
    cfg.model.type = 'mmdiffseg.DiffusionEncoderDecoder'
    cfg.model.decode_head.steps = max(STEPS)
    cfg.test_dataloader.update(batch_size=PICTURES, num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.data_root = str(data_root)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    weights = load_checkpoint_file(checkpoint)['state_dict']
    load_exactly(model, weights, source=str(checkpoint))
    loader = Runner.build_dataloader(cfg.test_dataloader)
    data = model.data_preprocessor(next(iter(loader)), False)
    with torch.no_grad():
        chains = model.predict_steps(data['inputs'], data['data_samples'], STEPS)
        samples = model.predict(data['inputs'], data['data_samples'])
    rows = []
    for index, sample in enumerate(samples):
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        predictions = {
            f'{steps} step{"s" if steps > 1 else ""}': chain[index].pred_sem_seg
            for steps, chain in chains.items()
        }
        rows.append(draw_panel(image, sample, predictions, loader.dataset.metainfo, columns=7))
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    """Generate, train, test and draw."""
    args = parse_args()
    start = time.perf_counter()
    if not (args.data_root / 'shapes.json').exists():
        run('dataset_converters/shapes.py', '--out', args.data_root)
    checkpoints = train(args.work_dir, args.data_root)
    options = ['--data-root', args.data_root, '--out-dir', args.work_dir, '--overwrite']
    run(
        'analysis_tools/steps_vs_quality.py',
        DDP,
        checkpoints['DDP'],
        *options,
        '--steps',
        *STEPS,
    )
    figures = json.loads((args.work_dir / 'steps_vs_quality.json').read_text())
    panel = args.work_dir / 'panel.png'
    draw(checkpoints['DDP'], args.data_root, panel)

    print(f'\nmIoU on {figures["images"]} generated validation pictures (a demo, no benchmark):')
    for curve in ('own chain', 'frozen time', 'fresh noise'):
        values = [f'{k} {v:.1f}' for k, v in figures['mean_iou'][curve].items()]
        print(f'  DDP, {curve:12s} by steps: {", ".join(values)}')
    print(f'  FCN on the same backbone:      {best_of(FCN, args.work_dir):.1f}')
    print(f'Picture: {panel}   ({(time.perf_counter() - start) / 60:.1f} minutes)')


if __name__ == '__main__':
    command_line.run_script(main)
