"""Refine masks that lie in files: a folder of PNGs, or COCO's json."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.apis.settings import changed
from mmdiffseg.datasets.files import read_json, read_parts
from mmdiffseg.datasets.transforms.load_instance_union import compress
from mmdiffseg.models.refine import MaskRefiner, Target, whole_probability


def refine_folder(
    segmenter: Segmenter,
    *,
    images: str | os.PathLike,
    masks: str | os.PathLike,
    out: str | os.PathLike,
    overwrite: bool = False,
    **options,
) -> Iterator[Path]:
    """Refine the masks of a folder of pictures.

    Args:
        segmenter: The model, see :func:`mmdiffseg.load`.
        images: Folder of pictures.
        masks: Folder of masks, PNGs of labels or of 0 and 255, named like the pictures.
        out: Folder for the refined masks, in the values of the given ones.
        overwrite: Replace masks that are there already.
        **options: See :meth:`Segmenter.refine`.

    Yields:
        The files, when they are written.

    Raises:
        FileNotFoundError: A picture has no mask.
        FileExistsError: A mask is there already, or the pictures or given masks are.
        ValueError: A mask does not fit its picture; the sentence names it.
    """
    for given in (images, masks):
        if Path(out).resolve() == Path(given).resolve():
            raise FileExistsError(f'{out} holds what is refined: choose another folder')
    sources = list(find_sources(images))
    pairs = [(source, _mask_file(masks, source.name)) for source in sources]
    for source, path in pairs:
        target = Path(out) / Path(source.name).with_suffix('.png')
        if target.exists() and not overwrite:
            raise FileExistsError(
                f'{target} exists: choose another folder, or replace it by overwrite=True'
            )
        given = read_mask(path)
        try:
            labels = segmenter.refine(source, given, **options).labels
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        if given.max(initial=0) == 255 and set(np.unique(given).tolist()) <= {0, 255}:
            labels = labels * np.uint8(255)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(target)
        yield target


def _mask_file(folder: str | os.PathLike, name: str) -> Path:
    path = Path(folder) / Path(name).with_suffix('.png')
    if not path.is_file():
        raise FileNotFoundError(f'{name} has no mask {path}: add it, or remove the picture')
    return path


def refine_coco(
    segmenter: Segmenter,
    *,
    images: str | os.PathLike,
    annotations: str | os.PathLike,
    out: str | os.PathLike,
    overwrite: bool = False,
    generations: int | None = None,
    seed: int | None = None,
    **options,
) -> int:
    """Refine the masks of a COCO file, annotations or results, those of a picture in batches.

    ``segmentation`` (as compressed run lengths), ``area`` and ``bbox`` change; everything else,
    scores and crowds included, is written as it was.

    Args:
        segmenter: A refiner, see :func:`mmdiffseg.load`.
        images: Folder of the pictures.
        annotations: The file: annotations with their images, or a list of results whose
            ``image_id`` is the number that the picture is called by.
        out: File to write.
        overwrite: Replace a file that is there already.
        generations: Chains of each mask.
        seed: Seed of the noise.
        **options: ``mode``, ``steps`` and ``strength`` of :meth:`MaskRefiner.refine`.

    Returns:
        How many masks have been refined.

    Raises:
        FileExistsError: The file to write is there already.
        FileNotFoundError: A picture is missing.
        ValueError: The model is not a refiner, or the file is not of COCO's format.
    """
    model = segmenter.model
    if not isinstance(model, MaskRefiner):
        raise ValueError(f'{type(model).__name__} is not a refiner: load one, or refine label maps')
    if Path(out).resolve() == Path(annotations).resolve():
        raise FileExistsError(f'{out} holds what is refined: choose another name')
    if Path(out).exists() and not overwrite:
        raise FileExistsError(f'{out} exists: choose another name, or overwrite=True')
    content = read_json(annotations)
    if not isinstance(content, list):
        content = read_parts(annotations, 'images', 'annotations')
    rows = content if isinstance(content, list) else content['annotations']
    files = _picture_files(images, content)
    by_picture = defaultdict(list)
    for row in rows:
        if row.get('segmentation') and not row.get('iscrowd'):
            by_picture[row['image_id']].append(row)
    refined = 0
    for number, found in by_picture.items():
        (source,) = find_sources(files(number))
        pixels = source.read().pixels
        h, w = pixels.shape[:2]
        image = model.prepare_picture(pixels)
        # in groups, because a mask of every object is as large as the picture
        at_once = model.decode_head.max_batch or len(found)
        for first in range(0, len(found), at_once):
            group = found[first : first + at_once]
            targets = [
                Target(
                    image=image,
                    mask=image.new_tensor(coco.decode(compress(row['segmentation'], h, w))) > 0,
                    name=f'{source.name}/{row.get("id", first + k)}',
                )
                for k, row in enumerate(group)
            ]
            with changed(model, generations=generations, seed=seed):
                answers = model.refine(targets, **options)
            for row, target, one in zip(group, targets, answers, strict=True):
                if one is not None:
                    mask = whole_probability(target.mask, one) >= 0.5
                    row.update(_coco_row(mask.cpu().numpy()))
                    refined += 1
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(content))
    return refined


def _picture_files(folder: str | os.PathLike, content: dict | list):
    if isinstance(content, dict):
        names = {image['id']: image['file_name'] for image in content['images']}

        def named(number: int) -> Path:
            if number not in names:
                raise ValueError(f'the image {number} of an annotation is not among the images')
            return Path(folder) / names[number]

        return named
    by_number = {int(path.stem): path for path in Path(folder).iterdir() if path.stem.isdigit()}

    def find(number: int) -> Path:
        if number not in by_number:
            raise FileNotFoundError(
                f'no picture in {folder} is called by the number {number}: results without their '
                'images need pictures that are, such as 000000000139.jpg'
            )
        return by_number[number]

    return find


def _coco_row(mask: np.ndarray) -> dict:
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    box, area = coco.toBbox(code).tolist(), int(coco.area(code))
    code['counts'] = code['counts'].decode()
    return dict(segmentation=code, bbox=box, area=area)
