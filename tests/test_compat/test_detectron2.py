import pickle

import numpy as np
import pytest
import torch

from mmdiffseg.compat.detectron2 import load_detectron2_weights


def test_tensors_beside_an_optimizer(tmp_path):
    content = dict(model={'a.weight': torch.arange(3.0)}, optimizer=dict(state={}), iteration=7)
    torch.save(content, tmp_path / 'model.pth')
    torch.testing.assert_close(load_detectron2_weights(tmp_path / 'model.pth'), content['model'])


def test_arrays_in_a_pickle_need_trust(tmp_path):
    path = tmp_path / 'model.pkl'
    content = dict(model={'a.weight': np.arange(3, dtype=np.float32)}, __author__='someone')
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match=r'model.pkl is a pickle, .* `trust=True`'):
        load_detectron2_weights(path)
    weights = load_detectron2_weights(path, trust=True)
    torch.testing.assert_close(weights, {'a.weight': torch.arange(3.0)})


@pytest.mark.parametrize('content', [dict(state_dict={}), [1]])
def test_other_files_are_said(tmp_path, content):
    torch.save(content, tmp_path / 'model.pth')
    with pytest.raises(ValueError, match=r"it has no `model`, but (\['state_dict'\]|list)"):
        load_detectron2_weights(tmp_path / 'model.pth')
