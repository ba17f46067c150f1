import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[2]
NO_DOWNLOAD = 'model.backbone.backbone.pretrained=None'


def untrained(name, folder):
    config = Config.fromfile(ROOT / f'configs/stochastic/{name}.py')
    config.model.backbone.backbone.pretrained = None
    init_default_scope('mmseg')
    meta = dict(dataset_meta=dict(config.metainfo))
    path = folder / f'{name}.pth'
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta=meta), path)
    return ROOT / f'configs/stochastic/{name}.py', path


def test_an_untrained_network_reads_nothing(call_tool, tmp_path):
    size = ['--train', 1, '--val', 2, '--size', 32, 32]
    call_tool('dataset_converters/ambiguous_shapes.py', '--out', 'data', *size)
    model = untrained('categorical_ambiguous-shapes', tmp_path)
    options = ['--data-root', 'data', '--steps', 4, '--out-dir', 'out']
    gap = 'analysis_tools/denoiser_gap.py'
    call_tool(gap, *model, *options, '--cfg-options', NO_DOWNLOAD)
    rows = json.loads((tmp_path / 'out/denoiser_gap.json').read_text())
    assert len(rows) == 4
    for row in rows:  # seven classes alike, at every time
        assert row['network, alike'] == pytest.approx(1.9459, abs=1e-3)
        assert row['network, differ'] == pytest.approx(1.9459, abs=1e-3)
        assert row['exact, alike'] == pytest.approx(0, abs=1e-6)
    assert rows[0]['exact, differ'] > rows[2]['exact, differ']
    assert rows[-1]['exact, differ'] < 0.01
    with pytest.raises(FileExistsError, match='exists'):
        call_tool(gap, *model, *options, '--cfg-options', NO_DOWNLOAD)
    model = untrained('flow_ambiguous-shapes', tmp_path)
    with pytest.raises(ValueError, match='EncodedMapHead gives no class probabilities'):
        call_tool(gap, *model, *options, '--overwrite', '--cfg-options', NO_DOWNLOAD)
