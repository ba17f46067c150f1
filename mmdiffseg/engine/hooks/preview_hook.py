"""A picture of what the model has learned so far, which renews itself."""

import time
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from mmengine.fileio import get
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from mmdiffseg.registry import HOOKS
from mmdiffseg.visualization.pages.labels import draw_panel


@HOOKS.register_module()
class PreviewHook(Hook):
    """Draws a few validation pictures with truth and prediction, again and again into one file.

    While the model trains they are predicted for this; at the end the validation has done it. It
    has to run in batches of one picture.

    Args:
        out_file: The file.
        pictures: How many, spread evenly over the validation set.
        seconds: Time from one preview to the next; it becomes ten times as long as drawing takes if
            that is more.
    """

    priority = 'LOW'

    def __init__(self, *, out_file: str, pictures: int = 4, seconds: float = 60.0) -> None:
        self.out_file = Path(out_file)
        self.pictures = pictures
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._next = time.monotonic() + self.seconds

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Draw, if it is time."""
        start = time.monotonic()
        if start >= self._next and runner.iter + 1 < runner.max_iters:
            self._draw(runner)
            end = time.monotonic()
            self._next = end + max(self.seconds, 10 * (end - start))

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin a page."""
        self._rows = []

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Draw a picture, if it is one of those to show."""
        dataset = runner.val_dataloader.dataset
        if is_main_process() and batch_idx in self._chosen(len(dataset)):
            self._rows.append(draw_sample(outputs[0], dataset.metainfo))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the page."""
        if is_main_process():
            self._write()

    def _chosen(self, count: int) -> list[int]:
        """Which of some pictures to show."""
        return np.linspace(0, count - 1, min(self.pictures, count)).round().astype(int).tolist()

    @torch.no_grad()
    def _draw(self, runner: Runner) -> None:
        if not is_main_process():
            return
        dataset = runner.val_dataloader.dataset
        model = _averaged(runner)
        training = model.training
        model.eval()
        self._rows = []
        for index in self._chosen(len(dataset)):
            (sample,) = model.val_step(pseudo_collate([dataset[index]]))
            self._rows.append(draw_sample(sample, dataset.metainfo))
        model.train(training)
        self._write()

    def _write(self) -> None:
        unfinished = self.out_file.with_suffix('.part')
        Image.fromarray(stack(self._rows)).save(unfinished, format='PNG')
        unfinished.replace(self.out_file)  # whoever looks at it never sees half of it


def _averaged(runner: Runner) -> nn.Module:
    """The model, with averaged weights if there are any: those that are saved."""
    averages = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
    model = averages[0] if averages else runner.model
    return model.module if is_model_wrapper(model) else model


def draw_sample(sample: SegDataSample, meta: dict) -> NDArray[np.uint8]:
    """The row of a picture: itself, its truth or that of up to three raters, its prediction."""
    image = mmcv.imfrombytes(get(sample.img_path), channel_order='rgb')
    maps = {}
    if 'gt_raters' in sample:
        for rater, labels in zip(sample.raters[:3], sample.gt_raters.data, strict=False):
            maps[rater] = PixelData(data=labels[None])
    maps['prediction'] = sample.pred_sem_seg
    return draw_panel(image, sample, maps, meta, columns=8)


def stack(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pages under each other, the narrower ones filled up with white."""
    width = max(row.shape[1] for row in rows)
    sides = [((0, 0), (0, width - row.shape[1]), (0, 0)) for row in rows]
    return np.concatenate(
        [np.pad(row, side, constant_values=255) for row, side in zip(rows, sides, strict=True)]
    )
