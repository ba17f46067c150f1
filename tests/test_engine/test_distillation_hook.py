import pytest
import torch
from mmengine.registry import MODELS
from mmseg.structures import SegDataSample

from mmdiffseg.engine.hooks import DistillationHook
from mmdiffseg.models.stochastic import StochasticSegmentor

HOOK = {'type': 'mmdiffseg.DistillationHook', 'steps': 3}


@MODELS.register_module(force=True)
class ToyStudent(StochasticSegmentor):
    """A flow on images of one colour, whose training needs no labels."""

    def forward(self, inputs, mode='loss'):
        images = torch.stack(inputs)[:, :3, None, None].expand(-1, -1, 8, 8)
        return self.loss(images, [SegDataSample() for _ in inputs])


def student():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ToyStudent',
            backbone=dict(type='mmdiffseg.IdentityBackbone'),
            decode_head=dict(
                type='mmdiffseg.EncodedMapHead',
                in_channels=3,
                num_classes=2,
                denoiser=dict(
                    type='mmdiffseg.CCDMUNet',
                    channel_mult=(1,),
                    num_res_blocks=1,
                    attention_downsample=(),
                ),
            ),
        )
    )
    model.decode_head.denoiser.out[2].weight.data.normal_()
    return model


@pytest.fixture
def trained(tmp_path):
    """A file of weights to learn from."""
    torch.save(dict(state_dict=student().state_dict()), tmp_path / 'flow.pth')
    return str(tmp_path / 'flow.pth')


def teacher_weights(runner):
    return runner.model.teacher.model.state_dict()


def test_the_teacher_keeps_the_weights_that_the_student_leaves(make_runner, trained):
    runner = make_runner(hooks=[HOOK], model=student(), load_from=trained)
    runner.train()
    given, learned = torch.load(trained)['state_dict'], runner.model.state_dict()
    assert all(torch.equal(teacher_weights(runner)[name], given[name]) for name in given)
    assert not all(torch.equal(learned[name], given[name]) for name in given)
    assert runner.model.teacher.steps == 3


def test_a_resumed_run_has_the_same_teacher(make_runner, tmp_path, trained):
    hooks = [HOOK, {'type': 'mmdiffseg.SeedEachIterationHook'}]
    runner = make_runner(hooks=hooks, model=student(), load_from=trained)
    runner.train()
    resumed = make_runner(
        hooks=hooks,
        model=student(),
        work_dir=tmp_path / 'resumed',
        load_from=str(tmp_path / 'run' / 'iter_4.pth'),
        resume=True,
    )
    resumed.train()
    for name, weight in teacher_weights(runner).items():
        assert torch.equal(teacher_weights(resumed)[name], weight)
    for name, weight in runner.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight)


def test_a_start_without_weights_is_refused(make_runner):
    with pytest.raises(ValueError, match='trained model to start from.*load_from=CHECKPOINT'):
        make_runner(hooks=[HOOK], model=student()).train()


def test_weights_of_another_model_are_refused(make_runner, tmp_path):
    torch.save(dict(state_dict={'decode_head.weight': torch.zeros(1)}), tmp_path / 'other.pth')
    runner = make_runner(hooks=[HOOK], model=student(), load_from=str(tmp_path / 'other.pth'))
    with pytest.raises(ValueError, match='the teacher does not fit ToyStudent'):
        runner.train()


def test_going_on_with_a_run_without_a_teacher_is_refused(make_runner, tmp_path):
    make_runner().train()
    runner = make_runner(
        hooks=[HOOK],
        work_dir=tmp_path / 'resumed',
        load_from=str(tmp_path / 'run' / 'iter_4.pth'),
        resume=True,
    )
    with pytest.raises(ValueError, match='iter_4.pth holds no teacher'):
        runner.train()


def test_a_model_without_samples_is_refused(make_runner, trained):
    with pytest.raises(ValueError, match='needs a StochasticSegmentor, got ToyModel'):
        make_runner(hooks=[HOOK]).train()


def test_a_teacher_of_one_step_is_refused():
    with pytest.raises(ValueError, match='at least 2, got 1'):
        DistillationHook(steps=1)
