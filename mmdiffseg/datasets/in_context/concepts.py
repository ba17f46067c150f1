"""Concepts, what the pictures of an episode have in common, and the lists of their pictures.

Lists are a JSON file ``{key: [name, ...]}``. Names are paths below the folder of the images,
without suffix. What a key is depends on the kind of concept:

- ``'class'``: the id of a class;
- ``'folder'``: the name of a folder, whose one object is the concept: a video of DAVIS, a class of
  FSS-1000;
- ``'folder_class'``: ``folder:class``, a class within one folder: a video of VSPW.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import TRANSFORMS
from numpy.typing import NDArray

from mmdiffseg.datasets.damaged_files import blame_damaged, paths_of
from mmdiffseg.datasets.files import read_json
from mmdiffseg.datasets.in_context.released_lists import read_released_lists

Kind = Literal['class', 'folder', 'folder_class']
KINDS = ('class', 'folder', 'folder_class')
IGNORED = 255
OBJECT = 128  # value from which on a mask of one object shows it


@dataclass(frozen=True)
class Concept:
    """What to segment, and the pictures that show it.

    Attributes:
        class_id: Id under which metrics pool it.
        name: Name of the class or folder.
        images: Positions of its pictures in the source.
        folder: The folder of its pictures, if it is a concept of that folder only.
        instances: Annotations of the object by position, where a list names them.
    """

    class_id: int
    name: str
    images: Sequence[int]
    folder: str | None = None
    instances: dict[int, list[int]] | None = None


def image_name(sample: dict, source: BaseDataset) -> str:
    """Name of a picture: its path below the folder of the images, without suffix."""
    path = PurePath(sample['img_path'])
    folder = source.data_prefix['img_path']
    return str((path.relative_to(folder) if folder else path).with_suffix(''))


def concept_keys(
    labels: NDArray, name: str, kind: Kind, *, background: int | None = 0, min_area: int = 1
) -> list[str]:
    """Keys of the concepts in one label map.

    Args:
        labels: Class ids (H, W), or a mask of one object (H, W) or (H, W, 3), black and white.
        name: Name of the picture.
        kind: Kind of concept.
        background: The class that is none; None if every class is one.
        min_area: Leave out what has fewer pixels.

    Raises:
        ValueError: Labels that should be class ids have channels.
    """
    folder = str(PurePath(name).parent)
    if kind == 'folder':
        mask = labels[..., 0] if labels.ndim == 3 else labels
        return [folder] if (mask >= OBJECT).sum() >= min_area else []
    if labels.ndim != 2:
        raise ValueError(
            f'the labels of {name} are in colours, of shape {labels.shape}: class ids have one '
            'channel'
        )
    values, areas = np.unique(labels, return_counts=True)
    found = values[areas >= min_area].tolist()
    classes = [c for c in found if c not in (background, IGNORED)]
    return [f'{folder}:{c}' if kind == 'folder_class' else str(c) for c in classes]


def list_concepts(
    source: BaseDataset, kind: Kind, background: int | None = 0
) -> dict[str, list[str]]:
    """Read the labels of all pictures of a source and list the pictures of every concept.

    Args:
        source: A dataset of mmseg, or :class:`InstanceMaskDataset`, which need not read files.
        kind: Kind of concept.
        background: The class that is none; None if every class is one.
    """
    load = TRANSFORMS.build(dict(type='mmseg.LoadAnnotations'))
    lists = {}
    for position in range(len(source)):
        sample = source.get_data_info(position)
        name = image_name(sample, source)
        if 'instances' in sample:
            keys = sorted({str(i['class_id']) for i in sample['instances']})
        else:
            paths = paths_of(sample)
            try:
                labels = load(sample)['gt_seg_map']
            except Exception as error:
                blame_damaged(error, paths, source)
                raise
            keys = concept_keys(labels, name, kind, background=background)
        for key in keys:
            lists.setdefault(key, []).append(name)
    return lists


def read_lists(path: str) -> dict[str, list[str]]:
    """Read the lists of a JSON file, or of a ``meta_*.npy`` of LDIS' released data.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no lists.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'no lists {path}: write them by tools/dataset_converters/in_context_lists.py, see '
            'docs/datasets.md.'
        )
    if path.endswith('.npy'):
        return read_released_lists(path)
    lists = read_json(path)
    if not isinstance(lists, dict) or not all(isinstance(names, list) for names in lists.values()):
        raise ValueError(f'{path} holds no lists of pictures by concept')
    return lists


def build_concepts(
    lists: dict[str, list[str]],
    source: BaseDataset,
    kind: Kind,
    *,
    classes: Sequence[int] | None = None,
) -> list[Concept]:
    """Concepts of some lists, in the order of their keys.

    Args:
        lists: Names of the pictures by key.
        source: Holds the pictures.
        kind: Kind of concept.
        classes: Leave out other classes.

    Raises:
        FileNotFoundError: A list names a picture that the source lacks.
    """
    names = [image_name(source.get_data_info(i), source) for i in range(len(source))]
    positions = {name: position for position, name in enumerate(names)}
    concepts = []
    for number, key in enumerate(sorted(lists, key=_order), 1):
        folder, _, class_id = key.rpartition(':')
        if kind == 'folder':
            class_id, name, folder = number, key, key
        else:
            class_id = int(class_id)
            if classes is not None and class_id not in classes:
                continue
            name = source.metainfo['classes'][class_id]
        missing = [name for name in lists[key] if name not in positions]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(lists[key])} pictures of {key!r} are not in '
                f'{source.data_prefix["img_path"]}, the first is {missing[0]!r}: the lists belong '
                'to other data.'
            )
        images = np.array([positions[name] for name in lists[key]], np.int32)
        concepts.append(Concept(class_id=class_id, name=name, images=images, folder=folder or None))
    return concepts


def _order(key: str) -> tuple[str, int, str]:
    folder, _, last = key.rpartition(':')
    return (folder, int(last), '') if last.isdigit() else (folder, 0, last)
