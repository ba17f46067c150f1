"""A training shared out by FSDP over two processes: killed, then resumed."""

import subprocess
from pathlib import Path

import pytest
from kill_trainings import equal, final_state
from run_records import logged

pytestmark = pytest.mark.recipe

SHARDED = """
_base_ = {base!r}
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(type='mmdiffseg.ShardedTrainable', device_id='cpu'),
    # PyTorch's offloading copies nothing on a CPU, so that one state overwrites another
    state_dict_cfg=dict(
        state_dict_type='FULL_STATE_DICT',
        state_dict_config=dict(type='FullStateDictConfig', rank0_only=True),
        optim_state_dict_config=dict(type='FullOptimStateDictConfig', offload_to_cpu=False),
    ),
)
custom_hooks = [*_base_.custom_hooks, *{hooks}]
"""


def test_a_killed_training_ends_with_the_same_weights(tiny_config, run_tool, environ, tmp_path):
    def config(name, hooks):
        path = tmp_path / f'{name}.py'
        path.write_text(SHARDED.format(base=str(tiny_config), hooks=hooks))
        return path

    whole, victim = config('whole', []), config('victim', [dict(type='Killer', iteration=4)])
    run_tool('dist_train.sh', whole, 2, '--work-dir', tmp_path / 'a', launcher='bash')
    script = Path(__file__).parents[2] / 'tools/dist_train.sh'
    command = ['bash', script, victim, 2, '--work-dir', tmp_path / 'b']
    done = subprocess.run(list(map(str, command)), env=environ, capture_output=True, timeout=900)
    assert done.returncode != 0
    assert (tmp_path / 'b/last_checkpoint').read_text().endswith('iter_4.pth')
    assert sorted(logged(tmp_path / 'b', 'loss')) == [1, 2, 3, 4]

    run_tool('dist_train.sh', whole, 2, '--work-dir', tmp_path / 'b', '--resume', launcher='bash')
    for key in ('loss', 'grad_norm'):
        assert logged(tmp_path / 'b', key) == logged(tmp_path / 'a', key)
    assert equal(final_state(tmp_path / 'b'), final_state(tmp_path / 'a'))
