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
from mmdiffseg.compat.torchvision_ops import is_of_one_build
heavy = [name for name in {HEAVY} if name in sys.modules]
print(json.dumps([heavy, is_onedl() and is_of_one_build(), mmdiffseg.__version__]))
"""
    heavy, nothing_to_mend, version = json.loads(run(code))
    assert heavy == [] if nothing_to_mend else 'mmseg' not in heavy
    assert version.count('.') == 2
