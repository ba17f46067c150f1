import json

import cv2
import numpy as np
import pytest


@pytest.fixture
def run(tmp_path, call_tool):
    for name, classes in {'a/0': (1, 2), 'a/1': (1,), 'b/0': ()}.items():
        labels = np.zeros((8, 8), np.uint8)
        labels[7] = 255
        for row, class_id in enumerate(classes):
            labels[row, : 8 - row] = class_id
        (tmp_path / 'labels' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f'labels/{name}.png'), labels)
    (tmp_path / 'only.txt').write_text('a\n')

    def run(*options):
        command = [tmp_path / 'labels', '--jobs', 1, '--out', tmp_path / 'metas/train']
        call_tool('dataset_converters/in_context_lists.py', *command, *options)

    return run


def test_lists_are_written_once(run, tmp_path, capsys, refusal):
    run('--concept', 'folder_class', '--only', tmp_path / 'only.txt', '--min-area', 8)
    lists = json.loads((tmp_path / 'metas/train.json').read_text())
    assert lists == {'a:1': ['a/0', 'a/1']}  # the second class has seven pixels
    assert (tmp_path / 'metas/train.txt').read_text().split() == ['a/0', 'a/1']
    assert '1 concepts in 2 of 2 pictures' in capsys.readouterr().out
    with refusal('exists: remove it'):
        run()
