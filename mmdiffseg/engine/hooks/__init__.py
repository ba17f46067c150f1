"""Hooks for mmengine's runner; importing this package registers all of them."""

from mmdiffseg.engine.hooks.checkpoint_match_hook import CheckpointMatchHook
from mmdiffseg.engine.hooks.class_count_hook import ClassCountHook
from mmdiffseg.engine.hooks.diffusion_visualization_hook import DiffusionVisualizationHook
from mmdiffseg.engine.hooks.distillation_hook import DistillationHook
from mmdiffseg.engine.hooks.last_phase_hook import OneStepHook, SelfAlignedHook
from mmdiffseg.engine.hooks.non_finite_loss_hook import NonFiniteLossHook
from mmdiffseg.engine.hooks.prediction_names_hook import PredictionNamesHook
from mmdiffseg.engine.hooks.preview_hook import PreviewHook
from mmdiffseg.engine.hooks.progress_hook import ProgressHook
from mmdiffseg.engine.hooks.seed_each_iteration_hook import SeedEachIterationHook
from mmdiffseg.engine.hooks.time_budget_hook import TimeBudgetHook
from mmdiffseg.engine.hooks.update_ema_hook import UpdateEMAHook
from mmdiffseg.engine.hooks.whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'CheckpointMatchHook',
    'ClassCountHook',
    'DiffusionVisualizationHook',
    'DistillationHook',
    'NonFiniteLossHook',
    'OneStepHook',
    'PreviewHook',
    'ProgressHook',
    'PredictionNamesHook',
    'SeedEachIterationHook',
    'SelfAlignedHook',
    'TimeBudgetHook',
    'UpdateEMAHook',
    'WholeCheckpointHook',
]
