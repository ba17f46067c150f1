"""Train a model to answer in one step as the model it started from does in many."""

import copy

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdiffseg.models.stochastic import StochasticSegmentor, Teacher
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class DistillationHook(Hook):
    """Keeps the weights that a run starts from as a frozen teacher of samples in one step.

    The student learns where the teacher's chains end, each from the same noise. Checkpoints hold
    the teacher beside the student, so that a run resumes without its file.

    Args:
        steps: Sampling steps of the teacher.

    Example:
        >>> load_from = 'work_dirs/flow_ambiguous-shapes/iter_3000.pth'
        >>> custom_hooks = [dict(type='mmdiffseg.DistillationHook', steps=16)]
    """

    def __init__(self, *, steps: int) -> None:
        if steps < 2:
            raise ValueError(f'steps of the teacher must be at least 2, got {steps}')
        self.steps = steps
        self._weights: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the teacher's weights.

        Raises:
            ValueError: A run is to go on that had no teacher.
        """
        if not runner._resume:
            weights = checkpoint.get('state_dict', checkpoint)
        elif 'teacher' in checkpoint:
            weights = checkpoint['teacher']
        else:
            raise ValueError(
                f'{runner._load_from} holds no teacher, so its run was no distillation: start one '
                f'from it by --cfg-options load_from={runner._load_from}, without --resume'
            )
        # copied: mmengine hands the tensors on
        self._weights = {k.removeprefix('module.'): v.clone() for k, v in weights.items()}

    def before_train(self, runner: Runner) -> None:
        """Give the model its teacher.

        Raises:
            ValueError: There are no weights to start from, they do not fit, or the model has no
                samples to learn.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, StochasticSegmentor):
            raise ValueError(
                f'DistillationHook needs a StochasticSegmentor, got {type(model).__name__}'
            )
        if self._weights is None:
            raise ValueError(
                'DistillationHook needs the weights of a trained model to start from: give them '
                'by --cfg-options load_from=CHECKPOINT'
            )
        teacher = copy.deepcopy(model)
        load_exactly(teacher, self._weights, source='the teacher')
        model.teacher = Teacher(model=teacher, steps=self.steps)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the teacher beside the student."""
        checkpoint['teacher'] = self._weights
