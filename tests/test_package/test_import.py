import json
import subprocess
import sys

HEAVY = ['torch', 'cv2', 'mmcv', 'mmseg', 'mmdet', 'timm', 'diffusers', 'transformers', 'peft']


def run(code):
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light():
    code = f"""
import json, sys
import mmdiffseg, mmdiffseg.registry
from mmdiffseg.compat.openmmlab import is_onedl
heavy = [name for name in {HEAVY} if name in sys.modules]
print(json.dumps([heavy, is_onedl(), mmdiffseg.__version__]))
"""
    heavy, onedl, version = json.loads(run(code))
    assert heavy == [] if onedl else 'mmseg' not in heavy
    assert version.count('.') == 2
