"""Pictures of what a diffusion model does, during validation and testing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import mmcv
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.evaluation.prediction_names import PredictionNames, prediction_name
from mmdiffseg.models.segmentors import DiffusionEncoderDecoder
from mmdiffseg.registry import HOOKS
from mmdiffseg.visualization import write_film
from mmdiffseg.visualization.pages.bev_map import map_pages
from mmdiffseg.visualization.pages.depth import depth_pages
from mmdiffseg.visualization.pages.labels import label_pages
from mmdiffseg.visualization.pages.referral import referral_pages
from mmdiffseg.visualization.pages.samples import sample_pages
from mmdiffseg.visualization.pages.segment import segment_pages


@HOOKS.register_module()
class DiffusionVisualizationHook(Hook):
    """Draws a panel per image: ground truth, predictions after several steps, uncertainty, errors.

    Takes the place of mmseg's ``SegVisualizationHook``. Step counts, uncertainty and films need a
    :class:`DiffusionEncoderDecoder`; of any other model the plain prediction is drawn, of mmdet's
    with a picture for each task. Where the data has several raters and the model draws samples, the
    page sets them side by side, with the frequency of every rater.

    Args:
        steps: Step counts to set side by side.
        interval: In validation, the first image of every so many batches is drawn; in testing,
            every image.
        out_dir: Folder for the pictures; None sends them to the runner's visualizer, and with it
            to TensorBoard and the like (those of the main process only).
        film: In testing, also write a denoising film to ``out_dir``.
        show: Show the panels in a window.
        wait_time: Seconds a window stays.
    """

    def __init__(
        self,
        *,
        steps: Sequence[int] = (1, 3, 10),
        interval: int = 50,
        out_dir: str | None = None,
        film: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
    ) -> None:
        if film and out_dir is None:
            raise ValueError('film=True needs an out_dir to write to')
        if interval < 1 or not steps or min(steps) < 1:
            raise ValueError(
                f'steps and interval must be at least 1, got steps={tuple(steps)} and '
                f'interval={interval}'
            )
        self.steps = steps
        self.interval = interval
        self.out_dir = Path(out_dir) if out_dir else None
        self.film = film
        self.show = show
        self.wait_time = wait_time
        self._names = PredictionNames('.png')

    def before_run(self, runner: Runner) -> None:
        """Create the folder."""
        if self.out_dir:
            self.out_dir.mkdir(parents=True, exist_ok=True)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw the first image of every ``interval``-th batch."""
        if self.every_n_inner_iters(batch_idx, self.interval):
            first = {key: values[:1] for key, values in data_batch.items()}
            meta = runner.val_dataloader.dataset.metainfo
            for name, pages in self._draw(runner, meta, first, outputs[:1]):
                self._publish(runner, f'val_{name}', pages[:1], runner.iter)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw every image."""
        # not the visualizer's, which only the main process has
        meta = runner.test_dataloader.dataset.metainfo
        for name, pages in self._draw(runner, meta, data_batch, outputs):
            self._publish(runner, name, pages, batch_idx)

    def _publish(self, runner: Runner, name: str, pages: list[NDArray], step: int) -> None:
        """Write or send the panel ``pages[0]`` and the film made of the others."""
        if self.show:
            runner.visualizer.show(pages[0], win_name=name, wait_time=self.wait_time)
        if self.out_dir is None:
            runner.visualizer.add_image(name, pages[0], step)
            return
        Image.fromarray(pages[0]).save(self.out_dir / f'{name}.png')
        if pages[1:]:
            write_film(self.out_dir / f'{name}.gif', pages[1:])

    def _draw(
        self, runner: Runner, meta: dict, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> Iterator[tuple[str, list[NDArray]]]:
        """Yield the name of each image with its panel, followed by the frames of its film."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        chains, frames = {}, []
        many = ['samples' in sample and 'gt_raters' in sample for sample in outputs]
        if isinstance(model, DiffusionEncoderDecoder) and not all(many):
            data = model.data_preprocessor(data_batch, False)
            inputs, samples = data['inputs'], data['data_samples']
            chains = model.predict_steps(inputs, samples, self.steps)
            if self.film:
                frames = model.predict_trajectory(inputs, samples, max(self.steps))
        for index, (sample, has_many) in enumerate(zip(outputs, many, strict=True)):
            name = self._names.claim(sample) if self.out_dir else prediction_name(sample)
            if 'map_prob' in sample:
                yield name, map_pages(sample, meta)
                continue
            image = mmcv.imfrombytes(get(sample.img_path), channel_order='rgb')
            if has_many:
                yield name, sample_pages(image, sample, meta)
                continue
            if 'text' in sample or 'texts' in sample:
                yield name, referral_pages(image, sample, meta)
                continue
            if 'pred_instances' in sample or 'pred_panoptic_seg' in sample:
                yield name, segment_pages(image, sample, meta)
                continue
            if 'window' in sample:  # of a crop around one of the objects of an image
                left, top, right, bottom = sample.window
                image = image[top:bottom, left:right]
            field = 'pred_depth_map' if 'pred_depth_map' in sample else 'pred_sem_seg'
            predictions = {'prediction': sample.get(field)}
            if chains:
                predictions = {
                    f'{count} step{"s" if count > 1 else ""}': chain[index].get(field)
                    for count, chain in chains.items()
                }
            film = [frame[index] for frame in frames]
            if field == 'pred_depth_map':
                pages = depth_pages(image, sample, predictions, film)
            else:
                pages = label_pages(image, sample, predictions, film, meta)
            yield name, pages
