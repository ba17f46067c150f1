"""What is said of folders that cannot be run."""

import json

import pytest

from mmdiffseg.runtime.folder import PARTS, read_loop, write_loop
from mmdiffseg.runtime.graphs import need


def make(folder, **changes):
    graphs = dict(step=dict(file='step.onnx'))
    loop = {**dict.fromkeys(PARTS), 'mmdiffseg': '1.0', 'graphs': graphs, **changes}
    write_loop(folder, loop)
    (folder / 'step.onnx').touch()
    return folder


def test_a_whole_folder_is_read(tmp_path):
    assert read_loop(make(tmp_path))['mmdiffseg'] == '1.0'


def test_a_folder_that_is_no_export_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match='holds no loop.json, so it is not an exported model'
    ):
        read_loop(tmp_path)


def test_a_missing_graph_is_named(tmp_path):
    (make(tmp_path) / 'step.onnx').unlink()
    with pytest.raises(FileNotFoundError, match='lacks the graph step.onnx'):
        read_loop(tmp_path)


@pytest.mark.parametrize('graphs', [[1], {'a': {}}, {'a': {'file': '../step.onnx'}}])
def test_graphs_lie_in_the_folder(tmp_path, graphs):
    with pytest.raises(ValueError, match='loop.json is damaged: it must have align_corners'):
        read_loop(make(tmp_path, graphs=graphs))


def test_another_version_is_refused(tmp_path):
    make(tmp_path)
    loop = json.loads((tmp_path / 'loop.json').read_text())
    (tmp_path / 'loop.json').write_text(json.dumps({**loop, 'layout': 99}))
    with pytest.raises(ValueError, match='has the layout 99, and this version of mmdiffseg reads'):
        read_loop(tmp_path)


@pytest.mark.parametrize('text', ['', '[]', '{"graphs": {}}'])
def test_a_damaged_loop_is_refused(tmp_path, text):
    (tmp_path / 'loop.json').write_text(text)
    with pytest.raises(ValueError, match='loop.json is damaged: export the model again'):
        read_loop(tmp_path)


def test_a_missing_library_names_its_extra():
    with pytest.raises(ModuleNotFoundError, match=r'need no_such_library: pip install .*\[onnx\]'):
        need('no_such_library', extra='onnx')
