"""How the tools end, and what they have imported until then."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmdiffseg.engine import command_line

TOOLS = Path(__file__).parents[2] / 'tools'
HEAVY = ['torch', 'cv2', 'matplotlib', 'mmcv', 'mmdet', 'mmseg.models', 'transformers']

WATCH = """
import atexit, json, runpy, sys
atexit.register(lambda: print(json.dumps([name for name in {heavy} if name in sys.modules])))
sys.argv = {argv}
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def watch(tool, *args):
    """Run a tool; its exit code, what it wrote to stderr, and the heavy packages it imported."""
    argv = [str(TOOLS / tool), *map(str, args)]
    code = WATCH.format(heavy=HEAVY, argv=argv)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    return done.returncode, done.stderr, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = str(TOOLS.parent / 'configs/ddp/ddp_r18_shapes.py')
    path.write_text(f'_base_ = {base!r}')
    return path


@pytest.mark.parametrize(
    'tool',
    [
        'train.py',
        'test.py',
        'analysis_tools/analyze_logs.py',
        'analysis_tools/browse_dataset.py',
        'analysis_tools/confusion_matrix.py',
        'analysis_tools/get_flops.py',
        'misc/print_config.py',
        'misc/publish_model.py',
    ],
)
def test_help_imports_nothing_heavy(tool):
    code, _, heavy = watch(tool, '--help')
    assert (code, heavy) == (0, [])


@pytest.mark.parametrize(
    ('tool', 'args', 'sentence'),
    [
        ('train.py', ['none.py'], 'there is no config none.py'),
        ('train.py', ['CONFIG', '--data-root', 'no/where'], "data_root 'no/where' of"),
        ('train.py', ['CONFIG', '--cfg-options', 'a'], "--cfg-options takes KEY=VALUE, got 'a'"),
        ('train.py', ['CONFIG', '--data-root', '/', '--resume', 'no.pth'], 'no checkpoint no.pth'),
        ('test.py', ['none.py'], 'there is no config none.py'),
        ('test.py', ['CONFIG'], 'give the checkpoint to test as the second argument'),
        ('test.py', ['CONFIG', 'none.pth'], 'there is no checkpoint none.pth'),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence_before_anything_heavy(
    config, tool, args, sentence
):
    code, error, heavy = watch(tool, *(str(config) if arg == 'CONFIG' else arg for arg in args))
    assert (code, heavy) == (2, [])
    assert sentence in error
    assert 'Traceback' not in error


def test_debug_shows_the_traceback(config):
    code, error, _ = watch('test.py', config, 'none.pth', '--debug')
    assert code == 1
    assert 'Traceback' in error and error.endswith('there is no checkpoint none.pth\n')


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('3', 3),
        ('[1,2]', [1, 2]),
        ('DDIMSampler', 'DDIMSampler'),
        ("{'_delete_':True,'type':'A','sizes':[1,2]}", dict(_delete_=True, type='A', sizes=[1, 2])),
    ],
)
def test_a_change_of_the_config_is_a_value_a_list_or_a_dict(text, value):
    parser = command_line.make_parser('A tool.')
    command_line.add_cfg_options(parser)
    assert parser.parse_args(['--cfg-options', f'a.b={text}']).cfg_options == {'a.b': value}


@pytest.mark.parametrize(
    ('error', 'code', 'sentence'),
    [
        (ValueError('steps must be at least 1, got 0'), 2, 'error: steps must be'),
        (FileNotFoundError('there is no b'), 2, 'error: there is no b\n'),
        (OSError('Only py is supported'), 2, 'error: Only py is supported\n'),
        (OSError(28, 'No space left on device', 'a.pth'), 1, "No space left on device: 'a.pth'"),
        (KeyError('X is not in the registry'), 1, 'error: KeyError: X is not in the registry (--d'),
        (RuntimeError('no such layer'), 1, 'RuntimeError: no such layer (--debug shows where)\n'),
        (RuntimeError('CUDA out of memory'), 1, 'error: there is not enough memory: make sizes or'),
        (MemoryError('9 GiB'), 1, 'make sizes or numbers smaller (9 GiB)\n'),
        (FileExistsError(17, 'File exists', 'a'), 2, 'error: a: is a file, and a folder is needed'),
    ],
)
def test_exit_codes_tell_bad_input_from_failure(monkeypatch, capsys, error, code, sentence):
    def fail(args):
        raise error

    monkeypatch.setattr(sys, 'argv', ['tools/any.py'])
    with pytest.raises(SystemExit) as caught:
        command_line.run(fail, dict)
    assert caught.value.code == code
    told = capsys.readouterr().err
    assert told.startswith('any.py: error: ') and sentence in told


def test_the_log_of_a_run_keeps_the_traceback(monkeypatch, tmp_path):
    def fail(args):
        raise ValueError('late')

    import mmengine.runner  # noqa: F401  a run has begun

    logger = MMLogger(name='run', log_file=str(tmp_path / 'run.log'))
    monkeypatch.setattr(MMLogger, 'get_current_instance', lambda: logger)
    monkeypatch.setattr(sys, 'argv', ['tools/any.py'])
    with pytest.raises(SystemExit):
        command_line.run(fail, dict)
    logging.shutdown()
    assert "raise ValueError('late')" in (tmp_path / 'run.log').read_text()


def test_a_window_needs_a_display(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'linux')
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    monkeypatch.delenv('DISPLAY', raising=False)
    with pytest.raises(ValueError, match='no display .*: give --out'):
        command_line.need_display('give --out')
    monkeypatch.setenv('DISPLAY', ':0')
    command_line.need_display('give --out')
