"""What a model says of one picture."""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.segment_ids import INSTANCE_OFFSET

#: label of pixels that belong to no class
UNLABELLED = 255
SHOWN_SAMPLES = 4
#: colours of what is outside, open, and inside
ZONES = ((70, 70, 70), (243, 156, 18), (46, 184, 92))


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """One object, or all pixels of a class that has no objects.

    Attributes:
        label: Its class.
        mask: (H, W) bool.
        score: Confidence in [0, 1], if the model gives one.
    """

    label: int
    mask: NDArray
    score: float | None = None


@dataclass(kw_only=True, eq=False)
class Result:
    """The answer for one picture; what a model does not know is None.

    Attributes:
        image: The picture (H, W, 3) uint8 RGB.
        name: Its name, by which the result is saved.
        path: Its file.
        classes: Names of the K classes.
        palette: RGB colour of each class.
        labels: Class of each pixel (H, W) uint8, or uint16 above 255 classes; 255 (65535) where
            there is none. None for depth.
        samples: Label maps of the generations (G, H, W), for models that draw whole masks.
        probability: Of each class (K, H, W) float32.
        uncertainty: (H, W) float32 in [0, 1].
        inner: Pixels (H, W) bool that belong to the object, as far as the guarantee goes.
        outer: Pixels (H, W) bool outside of which the object has nothing, likewise.
        label_set: Classes (K, H, W) bool among which the true one is, where there are more than
            two.
        depth: (H, W) float32 in metres.
        segments: The objects, where the model tells them apart; they may overlap.
        notes: What makes the answer doubtful, in plain sentences.

    Example:
        >>> result = model('cells.png')
        >>> result.labels.shape, result.probability.shape
        ((512, 512), (2, 512, 512))
        >>> result.save('out')  # labels, masks as COCO RLE, a panel
    """

    image: NDArray
    name: str
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    path: Path | None = None
    labels: NDArray | None = None
    samples: NDArray | None = None
    probability: NDArray | None = None
    uncertainty: NDArray | None = None
    inner: NDArray | None = None
    outer: NDArray | None = None
    label_set: NDArray | None = None
    depth: NDArray | None = None
    segments: list[Segment] | None = None
    notes: list[str] = field(default_factory=list)

    def panel(self) -> NDArray:
        """Draw the picture and everything that is known about it side by side.

        Returns:
            The page, uint8 RGB.
        """
        from mmdiffseg import visualization as draw

        image = self._image_of_map()

        def overlay(labels: NDArray) -> NDArray:
            unlabelled = int(np.iinfo(labels.dtype).max)
            return draw.label_overlay(image, labels, self.palette, ignore_index=unlabelled)

        pictures, legend = {'picture': image}, {}
        if self.depth is not None:
            limits = (max(self.depth.min().item(), 1e-3), max(self.depth.max().item(), 2e-3))
            pictures['depth'] = draw.depth_picture(self.depth, limits)
            legend = draw.depth_colours(limits)
        if self.labels is not None:
            pictures['prediction'] = overlay(self.labels)
            legend = {self.classes[n]: self.palette[n] for n in self._present()}
        if self.segments:
            pictures['objects'] = draw.segment_overlay(image, self._segment_ids(), self.palette)
        for number, labels in enumerate(self._shown_samples(), start=1):
            pictures[f'sample {number}'] = overlay(labels)
        if self.uncertainty is not None:
            pictures['uncertainty'] = draw.heat_overlay(image, self.uncertainty)
        if self.inner is not None or self.outer is not None:
            pictures['inner and outer'] = draw.label_overlay(image, self._zones(), ZONES)
        return draw.panel(pictures, columns=4, legend=legend, notes=self.notes)

    def _zones(self) -> NDArray:
        """0 outside, 1 open, 2 inside (H, W); of one of the two masks nothing may be promised."""
        zones = np.zeros(self.labels.shape, dtype=np.uint8)
        for value, mask in ((1, self.outer), (2, self.inner)):
            if mask is not None:
                zones[mask] = value
        return zones

    def _present(self) -> list[int]:
        """The classes that occur in the labels."""
        return [n for n in np.unique(self.labels).tolist() if n < len(self.classes)]

    def _segment_ids(self) -> NDArray:
        """Class and object of each pixel (H, W), as ``segment_overlay`` takes them."""
        ids = np.full(self.labels.shape, UNLABELLED, dtype=np.int64)
        for number, segment in enumerate(self.segments):
            ids[segment.mask] = segment.label + INSTANCE_OFFSET * number
        return ids

    def _image_of_map(self) -> NDArray:
        """The picture at the size of the maps: a map from above has cells of its own."""
        known = self.labels if self.labels is not None else self.depth
        if known is None or known.shape == self.image.shape[:2]:
            return self.image
        height, width = known.shape
        return np.asarray(Image.fromarray(self.image).resize((width, height)))

    def _shown_samples(self) -> NDArray | list:
        if self.samples is None or len(self.samples) < 2:
            return []
        return self.samples[:SHOWN_SAMPLES]

    def show(self) -> None:
        """Open the panel in the picture viewer of this machine."""
        Image.fromarray(self.panel()).show()

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(self.panel()).save(stream, 'PNG')
        return stream.getvalue()

    def save(self, folder: str | os.PathLike, *, overwrite: bool = False) -> Path:
        """Write the result under its name.

        ``panels/NAME.png``; ``masks/NAME.json``, the segments as COCO RLE; and, as the last file,
        ``labels/NAME.png`` with the palette, or for depth ``depth/NAME.npy``.

        Args:
            folder: Folder of the results of any number of pictures.
            overwrite: Replace an earlier result of this name.

        Returns:
            The file of the labels or depths.

        Raises:
            FileExistsError: There is one already.
            ValueError: The name leaves the folder.
        """
        main = self.main_file(folder)
        if main.exists() and not overwrite:
            raise FileExistsError(
                f'{main} exists: choose another folder, or replace it by overwrite=True '
                '(--overwrite)'
            )
        folder, stem = Path(folder), Path(self.name).with_suffix('')
        _write(folder / 'panels' / f'{stem}.png', self._repr_png_())
        if self.labels is None:
            _write(main, _saved(lambda stream: np.save(stream, self.depth)))
        else:
            masks = json.dumps(dict(image=self.name, segments=self.rle()))
            _write(folder / 'masks' / f'{stem}.json', masks.encode())
            _write(main, _saved(lambda stream: self._label_picture().save(stream, 'PNG')))
        return main

    def main_file(self, folder: str | os.PathLike) -> Path:
        """The file whose presence says that a result has been saved; see :meth:`save`."""
        kind = 'depth' if self.labels is None else 'labels'
        return main_files(folder, self.name)[kind]

    def rle(self) -> list[dict]:
        """The segments as COCO writes them: run lengths, box (x, y, w, h), area and category.

        Without segments, every class that is there is one.
        """
        from pycocotools import mask as coco

        rows = []
        for segment in self._listed_segments():
            code = coco.encode(np.asfortranarray(segment.mask.astype(np.uint8)))
            box, area = coco.toBbox(code).tolist(), int(coco.area(code))
            code['counts'] = code['counts'].decode()
            name = self.classes[segment.label]
            row = dict(category_id=segment.label, category=name, segmentation=code, bbox=box)
            row['area'] = area
            if segment.score is not None:
                row['score'] = round(segment.score, 4)
            rows.append(row)
        return rows

    def _listed_segments(self) -> list[Segment]:
        if self.segments is not None:
            return self.segments
        return [Segment(label=n, mask=self.labels == n) for n in self._present()]

    def _label_picture(self) -> Image.Image:
        picture = Image.fromarray(self.labels)
        if self.labels.dtype == np.uint8:
            picture.putpalette(np.ravel(self.palette).astype(int).tolist())
        return picture


def main_files(folder: str | os.PathLike, name: str) -> dict[str, Path]:
    """The files one of which a saved result has, by kind: ``labels`` and ``depth``.

    Raises:
        ValueError: The name leaves the folder.
    """
    stem = Path(name).with_suffix('')
    if stem.is_absolute() or '..' in stem.parts:
        raise ValueError(f'the name {name} leaves the folder {folder}: rename the picture')
    folder = Path(folder)
    return dict(labels=folder / 'labels' / f'{stem}.png', depth=folder / 'depth' / f'{stem}.npy')


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all, whenever the run is stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.part')
    part.write_bytes(content)
    os.replace(part, path)
