import json
import subprocess
import sys

import pytest

LATE = ['peft', 'timm', 'torchvision', 'transformers']


def run(code):
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_models_of_mmseg_and_ours_need_no_optional_package():
    code = f"""
import json, sys
import mmdiffseg
from mmdiffseg.compat.late_imports import hidden
with hidden('transformers'):
    import mmdiffseg.datasets, mmdiffseg.engine.hooks, mmdiffseg.evaluation, mmdiffseg.models
ran = [name for name in {LATE} if name + '.utils' in sys.modules or name + '.models' in sys.modules]
print(json.dumps(ran))
"""
    assert json.loads(run(code)) == []


def test_timm_and_adafactor_are_there_when_they_are_used():
    pytest.importorskip('transformers')
    code = """
import sys
import mmdiffseg
from mmengine.optim import build_optim_wrapper
assert 'transformers' not in sys.modules
import timm, torch
assert 'timm.models' not in sys.modules
assert timm.list_pretrained('convnext_tiny*')
cfg = dict(type='OptimWrapper', optimizer=dict(type='Adafactor', lr=1e-3, relative_step=False))
print(type(build_optim_wrapper(torch.nn.Linear(2, 2), cfg).optimizer).__module__)
"""
    assert run(code) == 'transformers.optimization'


def test_a_look_at_where_timm_lies_does_not_run_it():
    pytest.importorskip('timm')
    code = """
import inspect, sys
import mmdiffseg, timm
inspect.getmodule(inspect.currentframe())
assert timm.__file__ and timm.__name__ == 'timm'
assert 'timm.models' not in sys.modules
print(callable(timm.create_model))
"""
    assert run(code) == 'True'


def test_a_hidden_package_comes_back(monkeypatch):
    from mmdiffseg.compat.late_imports import hidden

    monkeypatch.delitem(sys.modules, 'colorsys', raising=False)
    with pytest.raises(ImportError), hidden('colorsys'):
        import colorsys
    import colorsys  # noqa: F811

    with hidden('colorsys'):  # what is in use already stays in use
        import colorsys
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
