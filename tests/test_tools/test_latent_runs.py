"""The latent methods through the command line, on the tiny world."""

import json
from pathlib import Path

import pytest
from PIL import Image
from run_records import logged, metrics

pytest.importorskip('diffusers')
pytest.importorskip('transformers')
pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]
WORLD = ROOT / 'demo/tiny_world'
LOCALLY = ('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False')


@pytest.fixture(scope='module')
def shapes(make_shapes, tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'shapes'
    options = ('--size', 64, 64, '--shapes', 2, 4, '--camouflage', 0, '--train', 60, '--val', 150)
    done = make_shapes(root, *options)
    assert done.returncode == 0, done.stderr
    return root


def test_in_context_training_resuming_and_testing(shapes, run_tool, tmp_path):
    config = ROOT / 'configs/ref_ldm_seg/refldmseg-f_shapes.py'
    options = (
        *(f'model.stable_diffusion={WORLD}', f'model.prompt_encoder.checkpoint={WORLD}/alpha_clip'),
        *('train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'train_dataloader.batch_size=2'),
        *('default_hooks.logger.interval=1', 'default_hooks.checkpoint.interval=2'),
        *('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False'),
        *('val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False'),
        *LOCALLY,
    )
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    data = ('--data-root', shapes)
    run_tool('train.py', config, '--work-dir', whole, *data, '--cfg-options', *options)
    losses = logged(whole, 'loss')
    assert sorted(losses) == [1, 2, 3, 4]

    first = (*options, 'train_cfg.max_iters=2')
    run_tool('train.py', config, '--work-dir', parts, *data, '--cfg-options', *first)
    run_tool('train.py', config, '--work-dir', parts, '--resume', *data, '--cfg-options', *options)
    assert logged(parts, 'loss') == pytest.approx(losses)

    out, show = tmp_path / 'out', tmp_path / 'show'
    run_tool(
        'test.py',
        *(config, whole / 'iter_4.pth', '--work-dir', tmp_path / 'test', *data),
        *('--out', out, '--show-dir', show, '--cfg-options', *options),
    )
    episodes = json.loads((out / 'episodes.json').read_text())
    assert len(episodes) == len(list((out / 'masks').iterdir())) == len(list(show.iterdir())) > 0
    assert 0 <= metrics(tmp_path / 'test', ['mIoU'])['mIoU'] <= 100

    run_tool(
        'analysis_tools/in_context_controls.py',
        *(config, whole / 'iter_4.pth', *data, '--episodes', 6, '--out-dir', tmp_path / 'controls'),
        *('--cfg-options', *options[:2]),
    )
    controls = json.loads((tmp_path / 'controls/in_context_controls.json').read_text())
    assert controls['episodes']['all'] == 6
    assert {'1 prompt', 'prompt of another concept', 'all shapes'} <= controls['mean_iou'].keys()


def test_both_ways_of_the_guidance_end_in_equal_latents(run_tool):
    said = run_tool(
        'analysis_tools/in_context_cost.py',
        *(ROOT / 'configs/ref_ldm_seg/refldmseg-n_shapes.py', '--steps', 2, '--runs', 1),
        *('--warmup', 0, '--batch-size', 2, '--device', 'cpu'),
        *('--cfg-options', f'model.stable_diffusion={WORLD}'),
        f'model.prompt_encoder.checkpoint={WORLD}/alpha_clip',
    )
    difference, largest = said.rsplit('largest difference: ', 1)[1].split(' of ')
    assert float(difference) < 1e-3 * float(largest)


def test_referring_without_a_checkpoint(shapes, run_tool, tmp_path):
    show = tmp_path / 'show'
    run_tool(
        'test.py',
        *(ROOT / 'configs/ref_diff/ref-diff_tiny_shapes.py', '--work-dir', tmp_path / 'test'),
        *('--data-root', shapes, '--show-dir', show, '--cfg-options', *LOCALLY),
        *(f'model.generator.checkpoint={WORLD}', 'test_dataloader.dataset.indices=5'),
    )
    scores = metrics(tmp_path / 'test', ['oIoU', 'mIoU'])
    assert all(0 <= score <= 100 for score in scores.values())
    pages = list(show.iterdir())
    assert len(pages) == 5 and Image.open(pages[0]).width > 500
