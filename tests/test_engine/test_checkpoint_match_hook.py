import pytest
import torch


def save(path, **changes):
    weights = {'decode_head.weight': torch.ones(1, 4), 'decode_head.bias': torch.zeros(1)}
    weights.update(changes)
    torch.save({'state_dict': {k: v for k, v in weights.items() if v is not None}}, path)
    return str(path)


def run(make_runner, checkpoint, *, strict):
    hook = {'type': 'mmdiffseg.CheckpointMatchHook', 'strict': strict}
    runner = make_runner(hooks=[hook], load_from=checkpoint)
    runner.load_or_resume()
    return runner


@pytest.mark.parametrize(
    'changes, sentence',
    [
        ({'decode_head.weight': torch.ones(7, 4)}, r'decode_head.weight \(7, 4\) .* \(1, 4\)'),
        ({'decode_head.bias': None}, r'1 missing \(decode_head.bias\)'),
        ({'old_head.bias': torch.zeros(1)}, r'1 unknown \(old_head.bias\)'),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(make_runner, tmp_path, changes, sentence):
    checkpoint = save(tmp_path / 'other.pth', **changes)
    with pytest.raises(ValueError, match=sentence):
        run(make_runner, checkpoint, strict=True)


def test_fine_tuning_goes_on_with_a_warning(make_runner, tmp_path, capfd):
    checkpoint = save(tmp_path / 'other.pth', **{'decode_head.bias': torch.ones(7)})
    hook = {'type': 'mmdiffseg.CheckpointMatchHook', 'strict': False}
    runner = make_runner(hooks=[hook], load_from=checkpoint, log_level='WARNING')
    runner.load_or_resume()
    assert 'decode_head.bias (7,) instead of (1,)' in ''.join(capfd.readouterr())
    assert runner.model.decode_head.weight.eq(1).all()


def test_a_fitting_checkpoint_is_loaded(make_runner, tmp_path):
    runner = run(make_runner, save(tmp_path / 'good.pth'), strict=True)
    assert runner.model.decode_head.weight.eq(1).all()


def test_other_numbers_of_classes_are_told(make_runner, tmp_path):
    checkpoint = save(tmp_path / 'other.pth', **{'decode_head.bias': torch.ones(7)})
    content = torch.load(checkpoint) | {'meta': {'dataset_meta': {'classes': tuple('abcdefg')}}}
    torch.save(content, checkpoint)
    hook = {'type': 'mmdiffseg.CheckpointMatchHook', 'strict': True}
    runner = make_runner(hooks=[hook], load_from=checkpoint)
    with pytest.raises(ValueError, match=r'trained for 7 classes, the data have 2\.'):
        runner.train()
