import pytest
import torch
from mmengine.hooks import Hook


class Watch(Hook):
    """Keeps the weights before the first and after every iteration."""

    priority = 'VERY_HIGH'

    def before_train(self, runner):
        self.weights = [runner.model.decode_head.weight.detach().clone()]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(runner.model.decode_head.weight.detach().clone())


GUARD = dict(type='mmdiffseg.GuardedOptimWrapper', optimizer=dict(type='SGD', lr=0.01))


def ema_of(runner):
    (hook,) = [hook for hook in runner.hooks if type(hook).__name__ == 'UpdateEMAHook']
    return hook.ema_model.module.decode_head.weight


def test_the_average_begins_at_the_initial_weights(make_runner):
    watch = Watch()
    hooks = [dict(type='mmdiffseg.UpdateEMAHook', momentum=0.25), watch]
    runner = make_runner(hooks=hooks, max_iters=3, optim_wrapper=GUARD)
    runner.train()
    expected = watch.weights[0]
    for weight in watch.weights[1:]:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(ema_of(runner), expected)


def test_an_update_left_out_is_not_averaged(make_runner, toy_model):
    watch = Watch()
    hooks = [dict(type='mmdiffseg.UpdateEMAHook', momentum=0.25), watch]
    runner = make_runner(hooks=hooks, model=toy_model(bad_iter=2), max_iters=2, optim_wrapper=GUARD)
    runner.train()
    assert torch.equal(watch.weights[2], watch.weights[1])
    torch.testing.assert_close(ema_of(runner), 0.75 * watch.weights[0] + 0.25 * watch.weights[1])


def test_a_resumed_run_goes_on_averaging(make_runner, tmp_path):
    hooks = [dict(type='mmdiffseg.UpdateEMAHook', momentum=0.25)]
    whole = make_runner(hooks=hooks, max_iters=4, optim_wrapper=GUARD, work_dir=tmp_path / 'a')
    whole.train()
    half = make_runner(hooks=hooks, max_iters=2, optim_wrapper=GUARD, work_dir=tmp_path / 'b')
    half.train()
    average = ema_of(half).clone()
    resumed = make_runner(
        hooks=hooks,
        max_iters=3,
        optim_wrapper=GUARD,
        work_dir=tmp_path / 'b',
        load_from=str(tmp_path / 'b/iter_2.pth'),
        resume=True,
    )
    resumed.train()
    expected = 0.75 * average + 0.25 * resumed.model.decode_head.weight
    torch.testing.assert_close(ema_of(resumed), expected)


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (True, True), (False, False)])
def test_whether_a_checkpoint_fits_is_left_to_another_hook(make_runner, tmp_path, strict, resume):
    weights = {'decode_head.weight': torch.ones(7, 4), 'decode_head.bias': torch.ones(1)}
    averages = {f'module.{name}': value for name, value in weights.items()}
    torch.save(dict(state_dict=weights, ema_state_dict=averages), tmp_path / 'other.pth')
    hooks = [
        dict(type='mmdiffseg.UpdateEMAHook'),
        dict(type='mmdiffseg.CheckpointMatchHook', strict=strict),
    ]
    runner = make_runner(
        hooks=hooks,
        optim_wrapper=GUARD,
        max_iters=1,
        load_from=str(tmp_path / 'other.pth'),
        resume=resume,
    )
    if strict:
        reason = 'no state of a training' if resume else r'decode_head.weight \(7, 4\) .* \(1, 4\)'
        with pytest.raises(ValueError, match=reason):
            runner.train()
        return
    runner.train()
    (hook,) = [hook for hook in runner.hooks if type(hook).__name__ == 'UpdateEMAHook']
    torch.testing.assert_close(
        hook.ema_model.module.decode_head.bias, torch.ones(1), rtol=0, atol=1e-3
    )


def test_a_wrapper_that_does_not_count_is_refused(make_runner):
    with pytest.raises(TypeError, match='GuardedOptimWrapper.*got OptimWrapper'):
        make_runner(hooks=[dict(type='mmdiffseg.UpdateEMAHook')]).train()
