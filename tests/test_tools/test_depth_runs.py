"""A depth model through the command line."""

from pathlib import Path

import pytest
from run_records import logged, metrics

from mmdiffseg.evaluation.depth_errors import DEPTH_ERRORS

pytestmark = pytest.mark.recipe


def test_training_testing_and_pictures(tiny_config, run_tool, tmp_path):
    config = tmp_path / 'depth.py'
    text = tiny_config.read_text()
    config.write_text(text.replace('ddp_r18_shapes.py', 'ddp_r18_shapes-depth_no-time.py'))
    work_dir = tmp_path / 'work'
    run_tool('train.py', config, '--work-dir', work_dir)
    assert sorted(logged(work_dir, 'loss')) == [1, 2, 3, 4, 5, 6]
    assert (work_dir / 'best_abs_rel_iter_6.pth').exists()

    checkpoint = work_dir / 'iter_6.pth'
    folders = [tmp_path / name for name in ('out', 'show')]
    run_tool(
        'test.py',
        *(config, checkpoint, '--work-dir', tmp_path / 'plain', '--steps', 2),
        *('--out', folders[0], '--show-dir', folders[1], '--film'),
    )
    found = metrics(tmp_path / 'plain', DEPTH_ERRORS)
    # so few iterations may leave not one pixel within a quarter of its depth
    assert 0 <= found['d1'] <= found['d2'] <= found['d3'] <= 1 and found['abs_rel'] > 0
    for folder in folders:
        assert sorted(path.stem for path in folder.glob('*.png')) == ['000000', '000001', '000002']
    assert len(list(Path(folders[1]).glob('*.gif'))) == 3

    run_tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'flip', '--tta')
    flipped = metrics(tmp_path / 'flip', DEPTH_ERRORS)
    assert flipped['abs_rel'] == pytest.approx(found['abs_rel'], rel=0.5)
