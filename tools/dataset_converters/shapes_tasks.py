"""Referring expressions and few-shot episodes over the instances of the Shapes data set.

Both are written from the contents of `annotations/instances_{train,val}.json`::

    refs/instances.json     the instances of both splits under ids of their own, COCO; file names
                            are relative to images/
    refs/refs(shapes).p     REFER's list of references to them; each sentence also has its `kind`
    fewshot/train.json      where the shapes of each concept are, a concept being a colour and shape
    fewshot/val.json        the same, and episodes: a query and five supports of one concept

Held-out concepts, for which (shape index + colour index) % 8 == 0, are missing from
fewshot/train.json, though such shapes do occur in training pictures.
"""

import json
import pickle
from pathlib import Path

import numpy as np
from shapes_language import Thing, expressions
from shapes_world import CLASSES, COLORS, OUTLINES

SUPPORTS = 5


def write_refs(root: Path, contents: dict[str, dict]) -> None:
    """Write refs/ from {split: content of instances_{split}.json}."""
    images, annotations, refs, sentence_id = [], [], [], 0
    for split, content in contents.items():
        image_offset, annotation_offset = len(images), len(annotations)
        of_image = {image['id']: [] for image in content['images']}
        for annotation in content['annotations']:
            of_image[annotation['image_id']].append(annotation)
        for image in content['images']:
            image_id, file_name = image['id'] + image_offset, f'{split}/{image["file_name"]}'
            images.append(image | dict(id=image_id, file_name=file_name))
            own = of_image[image['id']]
            found = expressions([as_thing(a) for a in own], image['width'], image['height'])
            for annotation, pairs in zip(own, found, strict=True):
                annotation = annotation | dict(
                    id=annotation['id'] + annotation_offset, image_id=image_id
                )
                annotations.append(annotation)
                if not pairs:
                    continue
                sentences = [
                    dict(
                        sent_id=sentence_id + k, sent=sent, raw=sent, tokens=sent.split(), kind=kind
                    )
                    for k, (kind, sent) in enumerate(pairs)
                ]
                sentence_id += len(sentences)
                refs.append(
                    dict(
                        ref_id=len(refs),
                        ann_id=annotation['id'],
                        image_id=image_id,
                        category_id=annotation['category_id'],
                        file_name=file_name,
                        split=split,
                        sent_ids=[sentence['sent_id'] for sentence in sentences],
                        sentences=sentences,
                    )
                )
    folder = root / 'refs'
    folder.mkdir()
    both = content | dict(images=images, annotations=annotations)
    (folder / 'instances.json').write_text(json.dumps(both))
    (folder / 'refs(shapes).p').write_bytes(pickle.dumps(refs, protocol=4))


def as_thing(annotation: dict) -> Thing:
    """An annotation as the language sees it."""
    x, y, width, height = annotation['bbox']
    return Thing(
        shape=CLASSES[annotation['category_id']],
        color=annotation['color'],
        area=annotation['area'],
        center=(x + width / 2, y + height / 2),
    )


def write_fewshot(root: Path, contents: dict[str, dict], seed: int) -> None:
    """Write fewshot/ from {split: content of instances_{split}.json}."""
    (root / 'fewshot').mkdir()
    for split, content in contents.items():
        concepts = find_concepts(content)
        listed = dict(concepts=concepts)
        if split == 'train':
            listed['concepts'] = {k: v for k, v in concepts.items() if not v['held_out']}
        else:
            listed['episodes'] = sample_episodes(content, concepts, np.random.default_rng(seed))
        (root / 'fewshot' / f'{split}.json').write_text(json.dumps(listed))


def find_concepts(content: dict) -> dict[str, dict]:
    """{name: class_id, held_out, images}, in the order of class ids.

    A class id is 8 * shape index + colour index; images are {stem: [annotation ids]}.
    """
    concepts = {
        f'{color} {shape}': dict(class_id=len(COLORS) * s + c, held_out=(s + c) % 8 == 0, images={})
        for s, shape in enumerate(OUTLINES)
        for c, color in enumerate(COLORS)
    }
    stems = {image['id']: Path(image['file_name']).stem for image in content['images']}
    for annotation in content['annotations']:
        name = as_thing(annotation).phrases[-1]
        images = concepts[name]['images']
        images.setdefault(stems[annotation['image_id']], []).append(annotation['id'])
    return {name: concept for name, concept in concepts.items() if concept['images']}


def sample_episodes(
    content: dict, concepts: dict[str, dict], rng: np.random.Generator
) -> list[dict]:
    """An episode for each picture of each concept that five other pictures can support."""
    things = {Path(image['file_name']).stem: [] for image in content['images']}
    stems = {image['id']: Path(image['file_name']).stem for image in content['images']}
    for annotation in content['annotations']:
        things[stems[annotation['image_id']]].append(as_thing(annotation))
    episodes = []
    for name, concept in concepts.items():
        color, shape = name.split()
        for query in concept['images']:
            others = [stem for stem in concept['images'] if stem != query]
            if len(others) < SUPPORTS:
                continue
            rivals = [t for t in things[query] if t.color == color and t.shape != shape]
            episodes.append(
                dict(
                    class_id=concept['class_id'],
                    name=name,
                    query=query,
                    supports=rng.choice(others, SUPPORTS, replace=False).tolist(),
                    held_out=concept['held_out'],
                    same_colour_distractor=bool(rivals),
                )
            )
    return episodes
