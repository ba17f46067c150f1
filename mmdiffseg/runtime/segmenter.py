"""An exported model that answers for pictures, as a Segmenter does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmdiffseg.apis.pictures import Picture, find_sources, is_single
from mmdiffseg.apis.result import Result
from mmdiffseg.guarantee import promised
from mmdiffseg.runtime.chains import Step, walk_categorical, walk_drawn, walk_gaussian
from mmdiffseg.runtime.draws import Draws
from mmdiffseg.runtime.graphs import GRAPHS
from mmdiffseg.runtime.maps import by_windows, resize_maps, resize_picture
from mmdiffseg.runtime.mask_readouts import MaskClasses, Objects
from mmdiffseg.runtime.mask_sets import MaskGrid, walk_mask_sets
from mmdiffseg.runtime.readouts import Classes, Depth, Layers, Masks, Readout, Samples

SETTINGS = ('steps', 'generations', 'seed')
WALKS = dict(
    gaussian=walk_gaussian,
    categorical=walk_categorical,
    draw=walk_drawn,
    mask_sets=walk_mask_sets,
)
READOUTS = dict(
    classes=Classes,
    samples=Samples,
    masks=Masks,
    depth=Depth,
    map=Layers,
    mask_classes=MaskClasses,
    objects=Objects,
)


class ExportedSegmenter:
    """An exported model; :func:`mmdiffseg.runtime.load` makes it.

    Pictures of the same name and seed get the same noise as in torch on a CPU, so the answers are
    the same but for rounding.

    Args:
        folder: What :func:`mmdiffseg.apis.export.export` has written.
        loop: What :func:`read_loop` reads there.
        threads: Threads to run in; None leaves the choice to the library.

    Attributes:
        asks: What a call needs beside a picture: nothing.
        films: Whether there is a film of an answer: no.
        before_call: Called before every denoiser call, if it is not None; it may raise an error.

    Example:
        >>> model = mmdiffseg.runtime.load('nuclei_onnx')
        >>> model('cells.png', generations=8).labels.shape
        (512, 512)
    """

    asks = None
    films = False

    def __init__(self, folder: str | Path, loop: dict, *, threads: int | None = None) -> None:
        self.before_call: Callable[[], None] | None = None
        folder, self.loop = Path(folder), loop
        self.meta = self.loop['meta']
        make = GRAPHS[self.loop['format']]
        self.graphs = {
            name: make(
                folder / graph['file'],
                inputs=graph['inputs'],
                outputs=graph['outputs'],
                threads=threads,
            )
            for name, graph in self.loop['graphs'].items()
        }

    def __call__(
        self,
        images: Any,
        *,
        steps: int | None = None,
        generations: int | None = None,
        seed: int | None = None,
        batch_size: int = 1,
        progress: bool | None = None,
        text: Any = None,
        examples: Any = None,
    ) -> Result | list[Result]:
        """Segment pictures; see :meth:`Segmenter.__call__`.

        Args:
            images: A picture, or many: paths, folders, arrays, PIL pictures.
            steps: Denoiser calls instead of the model's; one of the exported counts.
            generations: Chains of each picture instead of the model's.
            seed: Seed of the noise, which also depends on the name of a picture.
            batch_size: Taken for the sake of the same call: pictures run one by one, their
                generations together.
            progress: Taken for the sake of the same call.
            text: Not taken by any exported model.
            examples: For Ref LDM-Seg, see :meth:`Segmenter.__call__`.

        Returns:
            A result for a single picture, else a list of them.

        Raises:
            ValueError: A picture cannot be read or is too large, or a setting was not exported.
        """
        results = self.iterate(
            images, steps=steps, generations=generations, seed=seed, text=text, examples=examples
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
        text: Any = None,
        examples: Any = None,
    ) -> Iterator[Result]:
        """Segment pictures one after the other; see :meth:`__call__`."""
        settings = self._settings(dict(steps=steps, generations=generations, seed=seed))
        question = self.question(text=text, examples=examples)
        known = dict(classes=self.meta['classes'], palette=self.meta['palette'])
        for source in find_sources(images):
            picture = source.read()
            answer = self.predict(picture, question=question, **settings)
            sure = promised(answer, self.meta.get('guarantee'), settings)
            yield Result(
                image=picture.pixels,
                name=picture.name,
                path=picture.path,
                **{**known, **answer, **sure},
            )

    def question(self, *, text: Any, examples: Any) -> Any:
        """Take nothing but pictures.

        Raises:
            ValueError: Something else was given.
        """
        for name, value in dict(text=text, examples=examples).items():
            if value is not None:
                raise ValueError(f'this model takes no {name}: leave {name} out')

    @property
    def settings(self) -> dict[str, int]:
        """The ``steps``, ``generations`` and ``seed`` of a call that names none."""
        defaults = self.loop['defaults']
        return {name: defaults[name] for name in SETTINGS if name in defaults}

    def predict(
        self,
        picture: Picture,
        *,
        steps: int,
        generations: int,
        seed: int,
        question: Any = None,
        given: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """What is known of a picture, by the names of :class:`Result`.

        Args:
            picture: The picture.
            steps: See :meth:`__call__`.
            generations: See :meth:`__call__`.
            seed: See :meth:`__call__`.
            question: From :meth:`question`.
            given: Recorded noise by name, generations first.
        """
        readout = READOUTS[self.loop['readout']['kind']](self.loop['readout'])
        asked = dict(steps=steps, generations=generations, seed=seed, given=given)
        maps, (height, width) = self._maps(picture, readout, question=question, **asked)
        if not readout.own_grid:
            maps = self._resized(maps[:, :height, :width], picture.pixels.shape[:2])
        return readout.fields(maps)

    def _maps(
        self, picture: Picture, readout: Readout, **asked: Any
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """The maps (C, H, W) of a padded picture, and the size of the picture in it."""
        pixels = picture.pixels
        if self.loop['pictures']['resize']:
            pixels = resize_picture(pixels, **self.loop['pictures']['resize'])
        size = pixels.shape[:2]
        image = self._padded(self._normalised(pixels))
        self._check_size(picture, image)
        windows = self.loop['windows']

        def read(part: np.ndarray) -> np.ndarray:
            # a window counts as a picture without padding
            kept = part.shape[2:] if windows else size
            return self._read(part, readout, kept=kept, name=picture.name, **asked)

        return by_windows(image, read, **windows) if windows else read(image), size

    def _read(
        self, image: np.ndarray, readout: Readout, *, question: Any, **asked: Any
    ) -> np.ndarray:
        """The maps (C, H, W) of an image (1, 3, H, W)."""
        chains = self.chains(image, **asked)
        return readout.read(chains, partial(self._resized, size=image.shape[2:]))

    def _settings(self, given: Mapping[str, int | None]) -> dict[str, int]:
        settings = self.settings
        for name, value in given.items():
            if value is None:
                continue
            if name not in settings:
                raise ValueError(f'this model has no {name} to set: leave {name} out')
            least = 0 if name == 'seed' else 1
            if type(value) is not int or value < least:
                raise ValueError(f'{name} must be a whole number from {least}, got {value!r}')
            settings[name] = value
        return settings

    def _rows(self, steps: int) -> list[dict]:
        chains = self.loop['chains']
        if self.loop['kind'] == 'draw':
            return chains['1']
        if str(steps) not in chains:
            raise ValueError(
                f'the model was exported for {", ".join(chains)} steps, got {steps}: export it '
                f'again with steps=[{steps}] (--steps {steps})'
            )
        return chains[str(steps)]

    def _normalised(self, pixels: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 RGB as the encoder takes it, (1, 3, H, W) float32."""
        described = self.loop['pictures']
        if described['channels'] == 'BGR':
            pixels = pixels[..., ::-1]
        mean, std = np.float32(described['mean']), np.float32(described['std'])
        return ((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None]

    def _padded(self, image: np.ndarray) -> np.ndarray:
        """Pad an image (1, 3, H, W) at the right and the bottom, as the model was tested."""
        described, size = self.loop['pictures'], image.shape[2:]
        if described['pad_divisor']:
            size = [-(-n // described['pad_divisor']) * described['pad_divisor'] for n in size]
        fixed = self.loop['size'] or described['pad_size']
        if fixed:
            size = [max(n, m) for n, m in zip(size, fixed, strict=True)]
        padding = [(0, n - m) for n, m in zip(size, image.shape[2:], strict=True)]
        return np.pad(image, [(0, 0), (0, 0), *padding], constant_values=described['pad_value'])

    def _check_size(self, picture: Picture, image: np.ndarray) -> None:
        fixed = self.loop['size']
        if fixed is None or self.loop['windows'] or list(image.shape[2:]) == fixed:
            return
        height, width = picture.pixels.shape[:2]
        raise ValueError(
            f'{picture.name} has {width} x {height} pixels, and the model was exported for at most '
            f'{fixed[1]} x {fixed[0]}: make it smaller, or export the model with '
            f'size={tuple(image.shape[2:])}'
        )

    def chains(
        self,
        image: np.ndarray,
        *,
        kept: Sequence[int],
        name: str,
        steps: int,
        generations: int,
        seed: int,
        given: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[Iterable[Step]]:
        """The chains of a normalised image (1, 3, H, W), as many at once as is allowed.

        Args:
            image: The image.
            kept: Height and width of the picture in it.
            name: Names the noise.
            steps: See :meth:`__call__`.
            generations: See :meth:`__call__`.
            seed: See :meth:`__call__`.
            given: See :meth:`predict`.
        """
        image = image.astype(np.float32)
        if self.loop['kind'] == 'plain':
            yield [Step(index=0, **self.graphs['model'](dict(image=image)))]
            return
        context = self.graphs['encoder'](dict(image=image))
        drawn, size = self._drawn(context, image.shape[2:], kept)
        at_once = self.loop['defaults']['max_batch'] or generations
        walk = WALKS[self.loop['kind']]
        for first in range(0, generations, at_once):
            group = range(first, min(first + at_once, generations))
            # the name that torch's side gives to the noise of an image
            names = [f'{name}/None/{size[0]}x{size[1]}/{number}' for number in group]
            part = {key: array[group.start : group.stop] for key, array in (given or {}).items()}
            draws = Draws(names, seed=seed, given=part)
            yield walk(self.loop, self._rows(steps), self._call(context), drawn, draws)

    def _drawn(
        self, context: Mapping[str, np.ndarray], size: Sequence[int], kept: Sequence[int]
    ) -> tuple[Any, Sequence[int]]:
        """What the noise of an image is drawn for, and the height and width in its name."""
        loop = self.loop
        if loop['kind'] == 'mask_sets':
            grid = MaskGrid.of_image(loop['grid'], context, kept)
            return grid, grid.size
        shape = _shape(loop['map'], size)
        if loop['kind'] == 'draw':
            return [_shape(draw['shape'], size) for draw in loop['draws']], shape[1:]
        return shape, shape[1:]

    def _call(self, context: dict[str, np.ndarray]) -> Callable[[dict], dict]:
        def call(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if self.before_call is not None:
                self.before_call()
            return self.graphs['step']({**state, **context})

        return call

    def _resized(self, maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
        return resize_maps(maps, size, align_corners=self.loop['align_corners'])


def _shape(rule: Sequence[int | list], size: Sequence[int]) -> tuple[int, ...]:
    """The shape of a map of an image of a size (H, W), see ``shape_rule`` of the export."""

    def length(axis: str, stride: int, rounded: str = 'up') -> int:
        whole, rest = divmod(size['HW'.index(axis)], stride)
        return whole + (rounded == 'up' and rest > 0)

    return tuple(n if isinstance(n, int) else length(*n) for n in rule)
