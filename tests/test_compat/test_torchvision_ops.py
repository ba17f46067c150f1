import subprocess
import sys
from importlib.util import find_spec

# Loads the file by itself: `import mmdiffseg` has already run it, on what is really installed
PROGRAM = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
sys.path.insert(0, {folder!r})
spec = spec_from_file_location('torchvision_ops', {file!r})
torchvision_ops = module_from_spec(spec)
spec.loader.exec_module(torchvision_ops)
versions = dict(torch={torch!r}, torchvision='0.28.0')
torchvision_ops.version = versions.__getitem__
torchvision_ops.declare_missing_ops()
print('torchvision' in sys.modules)
import torchvision
"""
# What torchvision does on import, whether or not its own operators were loaded
TORCHVISION = """
import torch
@torch.library.register_fake('torchvision::nms')
def fake_nms(dets, scores, iou_threshold):
    return scores
"""


def run(tmp_path, **versions):
    (tmp_path / 'torchvision.py').write_text(TORCHVISION)
    file = find_spec('mmdiffseg.compat.torchvision_ops').origin
    program = PROGRAM.format(folder=str(tmp_path), file=file, **versions)
    return subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)


def test_another_build_of_torchvision_can_be_imported(tmp_path):
    done = run(tmp_path, torch='2.13.0+cpu')
    assert done.returncode == 0, done.stderr


def test_the_same_build_is_left_alone(tmp_path):
    done = run(tmp_path, torch='2.13.0')
    assert done.stdout.strip() == 'False'
    assert 'operator torchvision::nms does not exist' in done.stderr
