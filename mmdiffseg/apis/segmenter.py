"""One way to ask every model: pictures in, results out."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from mmdiffseg.apis.call import Call, OnError
from mmdiffseg.apis.model_folder import write_model_folder
from mmdiffseg.apis.pictures import Picture, Source, find_sources, is_single
from mmdiffseg.apis.result import Result
from mmdiffseg.apis.settings import changed, settings_of
from mmdiffseg.apis.tasks import task_of
from mmdiffseg.engine.precision import autocast_dtype
from mmdiffseg.guarantee import promised


class Segmenter:
    """A model that answers for pictures; :func:`mmdiffseg.load` makes it.

    Args:
        model: A model of mmseg, mmdet or this package.
        config: Its config, whose test pipeline prepares the pictures.
        meta: ``classes``, ``palette``, ``source`` and maybe ``guarantee`` and ``strength``.
        device: Where to run.
        precision: ``'fp32'``; ``'bf16'`` or ``'fp16'`` under autocast; or ``'auto'``, which is
            bf16 on a processor that is made for it and fp32 elsewhere, so that answers may differ a
            little between machines.

    Example:
        >>> model = mmdiffseg.load('nuclei')
        >>> result = model('cells.png', generations=8)
        >>> for result in model.iterate('folder_of_pictures'):
        ...     result.save('out')
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        config: Config,
        meta: Mapping[str, Any],
        device: str | torch.device,
        precision: str = 'fp32',
    ) -> None:
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            raise ValueError(
                f'device={str(device)!r} cannot be used here: {str(error).splitlines()[0]}'
            ) from error
        self.model = model.to(self.device).eval()
        self.config = config
        self.meta = dict(meta)
        self.dtype = autocast_dtype(precision, device)
        model.cfg, model.dataset_meta = config, self.meta  # as mmseg's and mmdet's inferencers do
        with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
            self.task = task_of(model, config)
        self._lock = threading.RLock()

    def __call__(
        self,
        images: Any,
        *,
        steps: int | None = None,
        generations: int | None = None,
        seed: int | None = None,
        batch_size: int = 1,
        progress: bool | None = None,
        text: str | Sequence[str] | None = None,
        examples: Sequence | Mapping[str, Sequence] | None = None,
    ) -> Result | list[Result]:
        """Segment pictures.

        Args:
            images: A picture: path, bytes of a file, PIL picture, array (H, W, 3) uint8 RGB or
                (H, W) grey. Or many: a folder, a glob pattern, a video, a list of any of these.
            steps: Denoiser calls instead of those of the config.
            generations: Chains of each picture instead of those of the config.
            seed: Seed of the noise, which also depends on the name of a picture; one without a
                name is called by its number in the list.
            batch_size: Pictures of one size at once. The results do not depend on it.
            progress: Show a bar; by default for many pictures in a terminal.
            text: For Ref-Diff, the sentence or sentences to find.
            examples: For Ref LDM-Seg, pairs of a picture and its mask; or such pairs by the names
                of several concepts.

        Returns:
            A result for a single picture, else a list of them. A large folder or a video wants
            :meth:`iterate`, which keeps none.

        Raises:
            ValueError: A picture cannot be read, or the model has no such setting.
        """
        results = self.iterate(
            images,
            steps=steps,
            generations=generations,
            seed=seed,
            batch_size=batch_size,
            progress=progress,
            text=text,
            examples=examples,
        )
        if is_single(images):
            (result,) = results
            return result
        return list(results)

    def iterate(
        self,
        images: Any,
        *,
        steps: int | None = None,
        generations: int | None = None,
        seed: int | None = None,
        batch_size: int = 1,
        progress: bool | None = None,
        text: str | Sequence[str] | None = None,
        examples: Sequence | Mapping[str, Sequence] | None = None,
        on_error: OnError | None = None,
    ) -> Iterator[Result]:
        """Segment pictures one after the other; see :meth:`__call__`.

        Args:
            images: See :meth:`__call__`.
            steps: See :meth:`__call__`.
            generations: See :meth:`__call__`.
            seed: See :meth:`__call__`.
            batch_size: See :meth:`__call__`.
            progress: See :meth:`__call__`.
            text: See :meth:`__call__`.
            examples: See :meth:`__call__`.
            on_error: Called with the name of a picture that has no result and the error; by default
                the first error is raised.

        Yields:
            The results, in order.
        """
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f'batch_size must be a whole number from 1, got {batch_size!r}')
        settings = dict(steps=steps, generations=generations, seed=seed)
        with self._asking(settings):
            question = self.task.question(text=text, examples=examples)
        call = Call(question=question, settings=settings, on_error=on_error)
        if progress is None:
            progress = not is_single(images) and sys.stderr.isatty()
        sources = tqdm(
            find_sources(images),
            total=len(images) if isinstance(images, list | tuple) else None,
            disable=not progress,
            unit='picture',
        )
        return self._results(sources, call, batch_size)

    def _results(
        self, sources: Iterable[Source], call: 'Call', batch_size: int
    ) -> Iterator[Result]:
        waiting: list[tuple[Picture, Any]] = []  # of one size, with what the model takes
        for source in sources:
            try:
                picture = source.read()
                item = self.task.prepare(picture)
            except Exception as error:
                call.failed(source.name, error)
                continue
            if waiting and waiting[0][0].pixels.shape != picture.pixels.shape:
                yield from self._answers(waiting, call)
                waiting = []
            waiting.append((picture, item))
            if len(waiting) == batch_size:
                yield from self._answers(waiting, call)
                waiting = []
        if waiting:
            yield from self._answers(waiting, call)

    def _answers(self, batch: Sequence[tuple[Picture, Any]], call: 'Call') -> Iterator[Result]:
        try:
            # the settings hold for one batch: between two of them others may ask
            with self._asking(call.settings):
                answers = self.task.predict([item for _, item in batch], call.question)
        except Exception as error:
            if call.on_error is not None and len(batch) > 1:
                for one in batch:
                    yield from self._answers([one], call)
            else:
                call.failed(batch[0][0].name, error)
            return
        for (picture, _), answer in zip(batch, answers, strict=True):
            yield self._result(picture, {**self._sure(answer, call.settings), **answer})

    def refine(
        self,
        image: Any,
        mask: Any,
        *,
        keep: NDArray | None = None,
        strength: float | None = None,
        mode: str | None = None,
        steps: int | None = None,
        generations: int | None = None,
        seed: int | None = None,
    ) -> Result:
        """Make a mask better that somebody made; the shipped refiner helps models that cannot.

        Args:
            image: One picture, see :meth:`__call__`.
            mask: Labels (H, W), bools, 0 and 255, fractions, class probabilities (K, H, W), or a
                file of labels.
            keep: Pixels (H, W), bool, in which the mask is right, such as those of clicks.
            strength: How far to go, in (0, 1]; by default what is known of the model, or of a
                refiner 1. Without either the model cannot.
            mode: For a refiner, where it looks; see :class:`mmdiffseg.models.refine.MaskRefiner`.
            steps: Denoiser calls of a chain.
            generations: See :meth:`__call__`.
            seed: See :meth:`__call__`.

        Raises:
            ValueError: The mask does not fit the picture or the model.
        """
        from mmdiffseg.apis.refine import refine_instead, refine_picture, refines_itself

        options = dict(keep=keep, strength=strength, mode=mode, steps=steps)
        asked = dict(generations=generations, seed=seed)
        if not is_single(image):
            raise ValueError('a mask is refined in one picture: give one, or see refine_folder')
        if not refines_itself(self.task, strength):
            return refine_instead(self, image, mask, **options, **asked)
        (source,) = find_sources(image)
        picture = source.read()
        with self._asking(asked):
            answer = refine_picture(self.task, picture, mask, **options)
        return self._result(picture, answer)

    def video(
        self,
        frames: Any,
        first_mask: Any = None,
        *,
        strength: float | None = None,
        steps: int | None = 1,
        flow: str | None = None,
        name: str = 'video',
    ) -> Iterator[Result]:
        """Segment a video; each frame starts from the answer for the one before.

        Args:
            frames: A video file, a folder of frames, or a list of pictures.
            first_mask: Mask of the first frame, see :meth:`refine`; without one it is segmented
                from noise, which a refiner cannot do.
            strength: How far a frame may go from the one before, see :meth:`refine`.
            steps: Denoiser calls for each frame but the first.
            flow: Move the answer along with the picture before it is used, by optical flow:
                ``'dis'`` or ``'farneback'``. None leaves it where it was.
            name: Names the noise, which is that of the first frame in all frames.

        Yields:
            The result for every frame; a note tells where a scene begins anew.
        """
        from mmdiffseg.apis.video import follow

        sources = find_sources(frames)
        options = dict(strength=strength, steps=steps, flow=flow, name=name)
        for picture, answer in follow(
            self.task, sources, first_mask, asking=self._asking, **options
        ):
            yield self._result(picture, answer)

    def _result(self, picture: Picture, answer: dict[str, Any]) -> Result:
        known = dict(classes=self.meta['classes'], palette=self.meta['palette'])
        return Result(
            image=picture.pixels, name=picture.name, path=picture.path, **{**known, **answer}
        )

    def _sure(self, answer: dict[str, Any], settings: Mapping[str, int | None]) -> dict[str, Any]:
        """What the guarantee of the model, if it has one, says of an answer."""
        asked = {**self.settings, **{k: v for k, v in settings.items() if v is not None}}
        return promised(answer, self.meta.get('guarantee'), asked)

    @contextmanager
    def _asking(self, settings: Mapping[str, int | None]) -> Iterator[None]:
        cast = torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()
        with self._lock, torch.no_grad(), cast, changed(self.model, **settings):
            yield

    def export(self, folder: str | os.PathLike, **options: Any) -> Path:
        """Write the model as graphs that run without torch; see :func:`mmdiffseg.apis.export`.

        Args:
            folder: Folder to write.
            options: ``format``, ``size``, ``steps``, ``precision`` and more.

        Returns:
            The folder.
        """
        from mmdiffseg.apis.export import export

        return export(self, folder, **options)

    @property
    def settings(self) -> dict[str, int]:
        """The ``steps``, ``generations`` and ``seed`` of the config, as far as it has them."""
        return settings_of(self.model)

    @property
    def asks(self) -> str | None:
        """What a call needs beside a picture: ``'text'``, ``'examples'`` or nothing."""
        return self.task.asks

    @property
    def films(self) -> bool:
        """Whether :meth:`film` can show how the answer comes about."""
        return hasattr(self.model, 'predict_trajectory')

    def film(
        self, image: Any, *, steps: int | None = None, seed: int | None = None
    ) -> list[Result]:
        """Follow the first chain of a picture: the frames of a denoising film.

        Args:
            image: A picture, see :meth:`__call__`.
            steps: See :meth:`__call__`.
            seed: See :meth:`__call__`.

        Returns:
            What the model would say after each step.

        Raises:
            ValueError: The model has no chain of steps, or these are several pictures.
        """
        if not self.films:
            raise ValueError(f'{type(self.model).__name__} has no chain of steps to film')
        if not is_single(image):
            raise ValueError('a film shows one picture: give one')
        (source,) = find_sources(image)
        picture = source.read()
        settings = dict(steps=steps, seed=seed)
        if 'generations' in self.settings:
            settings['generations'] = 1
        with self._asking(settings):
            frames = self.task.film(self.task.prepare(picture))
        return [self._result(picture, frame) for frame in frames]

    def save_pretrained(
        self,
        folder: str | os.PathLike,
        *,
        card: Mapping[str, Any] | None = None,
        picture: NDArray | None = None,
        half: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write the model to a folder that :func:`mmdiffseg.load` reads, here or from the Hub.

        Args:
            folder: Folder to write.
            card: What its card tells, see :func:`mmdiffseg.apis.model_card.model_card`; by default
                that of the folder that the model came from.
            picture: A page (H, W, 3) uint8 RGB, such as :meth:`Result.panel` of a good example.
            half: Store the weights as float16, at half the size.
            overwrite: Replace files of an earlier model.

        Returns:
            The folder.

        Raises:
            FileExistsError: The folder is not empty, and ``overwrite`` is not given.
            ValueError: The config names code of its own, or a weight is not finite.
        """
        card = self.meta.get('card', {}) if card is None else dict(card)
        meta = {name: value for name, value in self.meta.items() if name != 'source'}
        return write_model_folder(
            folder,
            model=self.model,
            config=self.config,
            meta={**meta, 'card': card},
            card=card,
            picture=picture,
            half=half,
            overwrite=overwrite,
        )
