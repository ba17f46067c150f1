import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]

OPTIONS = """
_base_ = {base!r}
data = dict(data_root={data!r})
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4, val_interval=4)
"""


@pytest.mark.recipe
@pytest.mark.parametrize('name', ['ddp', 'fcn'])
def test_a_map_trains_and_tests_alike(name, make_shapes, run_tool, tmp_path):
    make_shapes(tmp_path / 'shapes', '--train', 4, '--val', 3)
    base = str(REPO / f'configs/ddp/{name}_r18_shapes-map.py')
    config = tmp_path / f'{name}.py'
    config.write_text(OPTIONS.format(base=base, data=str(tmp_path / 'shapes')))
    trained = run_tool('train.py', config, '--work-dir', tmp_path / 'run')
    (best,) = (tmp_path / 'run').glob('best_map_mean_iou@max_iter_4.pth')
    tested = run_tool('test.py', config, best, '--work-dir', tmp_path / 'test')
    scores = [re.findall(r'map/mean/iou@max: ([\d.]+)', text) for text in (trained, tested)]
    assert len(scores[0]) == 1 and scores[0] == scores[1]
    assert '@0.35' in tested  # the table
