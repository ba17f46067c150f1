import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/in_context_lists.py'


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name, classes in {'a/0': (1, 2), 'a/1': (1,), 'b/0': ()}.items():
        labels = np.zeros((8, 8), np.uint8)
        labels[7] = 255
        for row, class_id in enumerate(classes):
            labels[row, : 8 - row] = class_id
        (tmp_path / 'labels' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f'labels/{name}.png'), labels)
    (tmp_path / 'only.txt').write_text('a\n')

    def run(*options):
        command = [TOOL, tmp_path / 'labels', '--jobs', 1, '--out', tmp_path / 'metas/train']
        monkeypatch.setattr(sys, 'argv', [*map(str, command), *map(str, options)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return run


def test_lists_are_written_once(run, tmp_path, capsys, refusal):
    run('--concept', 'folder_class', '--only', tmp_path / 'only.txt', '--min-area', 8)
    lists = json.loads((tmp_path / 'metas/train.json').read_text())
    assert lists == {'a:1': ['a/0', 'a/1']}  # the second class has seven pixels
    assert (tmp_path / 'metas/train.txt').read_text().split() == ['a/0', 'a/1']
    assert '1 concepts in 2 of 2 pictures' in capsys.readouterr().out
    with refusal('exists: remove it'):
        run()
