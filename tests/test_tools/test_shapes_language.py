"""Sentences about Shapes mean what they say, and the files hold what their readers expect."""

import json
import pickle
from collections import Counter

import pytest
from pycocotools.coco import COCO
from shapes_language import KINDS, WORDS, Thing, expressions
from shapes_world import COLORS, OUTLINES


@pytest.fixture(scope='module')
def root(make_shapes, tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'shapes'
    options = ('--size', 64, 64, '--shapes', 2, 4, '--camouflage', 0, '--distractors', 1, 1)
    done = make_shapes(root, '--train', 20, '--val', 80, *options)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope='module')
def coco(root):
    return COCO(root / 'refs/instances.json')


@pytest.fixture(scope='module')
def refs(root):
    return pickle.loads((root / 'refs/refs(shapes).p').read_bytes())


def speak(*things):
    """Sentences by kind of (shape, color, area, (x, y)) in a picture of 100x100."""
    found = expressions([Thing(*thing) for thing in things], 100, 100)
    return [{k: [s for kind, s in own if kind == k] for k in KINDS} for own in found]


def test_a_lone_shape_has_no_relatives():
    (alone,) = speak(('circle', 'red', 50, (20, 20)))
    assert alone == dict(
        colour=['the red shape'],
        shape=['the circle'],
        attribute=['the red circle'],
        size=[],
        position=[],
        relation=[],
    )


def test_every_kind_in_one_picture():
    large, small, star = speak(
        ('circle', 'red', 90, (20, 50)),
        ('circle', 'blue', 60, (80, 50)),
        ('star', 'red', 60, (70, 40)),
    )
    assert large == dict(
        colour=[],
        shape=[],
        attribute=['the red circle'],
        size=['the largest shape', 'the largest circle'],
        position=['the shape on the left', 'the circle on the left', 'the red shape on the left'],
        relation=[],
    )
    # as large as the star, and only a little to its right
    assert small['size'] == ['the smallest circle']
    assert small['position'] == ['the circle on the right']
    assert small['colour'] == ['the blue shape'] and small['shape'] == []
    assert small['relation'] == ['the circle next to the red star']
    assert star['relation'] == ['the star next to the blue circle']


def test_twins_are_told_apart_by_place_alone():
    left, right = speak(('star', 'pink', 50, (20, 50)), ('star', 'pink', 55, (80, 50)))
    for twin, side in ((left, 'left'), (right, 'right')):
        nouns = ('shape', 'star', 'pink shape', 'pink star')
        assert twin.pop('position') == [f'the {noun} on the {side}' for noun in nouns]
        assert not any(twin.values())


def matching(phrase, annotations, names):
    *color, noun = phrase.split()
    return [
        a
        for a in annotations
        if noun in ('shape', names[a['category_id']]) and color in ([], [a['color']])
    ]


def center(annotation):
    x, y, width, height = annotation['bbox']
    return x + width / 2, y + height / 2


def distance(one, other):
    (x1, y1), (x2, y2) = center(one), center(other)
    return (x1 - x2) ** 2 + (y1 - y2) ** 2


def understand(sentence, annotations, names):
    """The annotation that a sentence means."""
    article, *words = sentence.split()
    assert article == 'the'
    rest = ' '.join(words)
    if ' next to the ' in rest:
        phrase, anchor = rest.split(' next to the ')
        (anchor,) = matching(anchor, annotations, names)
        return min(matching(phrase, annotations, names), key=lambda a: distance(a, anchor))
    if words[0] in ('largest', 'smallest'):
        best = max if words[0] == 'largest' else min
        return best(matching(words[1], annotations, names), key=lambda a: a['area'])
    for side, best, axis in (
        (' on the left', min, 0),
        (' on the right', max, 0),
        (' at the top', min, 1),
        (' at the bottom', max, 1),
    ):
        if rest.endswith(side):
            group = matching(rest.removesuffix(side), annotations, names)
            return best(group, key=lambda a: center(a)[axis])
    (only,) = matching(rest, annotations, names)
    return only


def test_sentences_of_the_files_mean_their_annotations(coco, refs):
    names = {category['id']: category['name'] for category in coco.cats.values()}
    kinds = Counter()
    for ref in refs:
        annotations = coco.imgToAnns[ref['image_id']]
        for sentence in ref['sentences']:
            assert understand(sentence['sent'], annotations, names)['id'] == ref['ann_id']
            kinds[sentence['kind']] += 1
    assert set(kinds) == set(KINDS) and min(kinds.values()) >= 50


def test_refs_are_refers(root, coco, refs):
    assert [ref['ref_id'] for ref in refs] == list(range(len(refs)))
    sentences = [sentence for ref in refs for sentence in ref['sentences']]
    assert [s['sent_id'] for s in sentences] == list(range(len(sentences)))
    for ref in refs:
        annotation, image = coco.anns[ref['ann_id']], coco.imgs[ref['image_id']]
        assert annotation['image_id'] == ref['image_id']
        assert annotation['category_id'] == ref['category_id']
        assert image['file_name'] == ref['file_name']
        assert ref['file_name'].startswith(f'{ref["split"]}/')
        assert (root / 'images' / ref['file_name']).is_file()
        assert ref['sent_ids'] == [sentence['sent_id'] for sentence in ref['sentences']]
        assert coco.annToMask(annotation).sum() == annotation['area']
    for sentence in sentences:
        assert sentence['tokens'] == sentence['sent'].split()
        assert set(sentence['tokens']) <= set(WORDS)
    assert Counter(image['file_name'].split('/')[0] for image in coco.imgs.values()) == dict(
        train=20, val=80
    )


def test_distractors_share_a_colour_but_not_a_shape(coco):
    for annotations in coco.imgToAnns.values():
        kinds = {}
        for annotation in annotations:
            kinds.setdefault(annotation['color'], set()).add(annotation['category_id'])
        assert max(map(len, kinds.values())) > 1


@pytest.mark.parametrize('split', ['train', 'val'])
def test_fewshot_concepts_point_to_their_instances(root, split):
    instances = COCO(root / 'annotations' / f'instances_{split}.json')
    concepts = json.loads((root / 'fewshot' / f'{split}.json').read_text())['concepts']
    held_out = set()
    for name, concept in concepts.items():
        color, shape = name.split()
        c, s = list(COLORS).index(color), list(OUTLINES).index(shape)
        assert concept['class_id'] == 8 * s + c
        assert concept['held_out'] == ((s + c) % 8 == 0)
        held_out |= {name} if concept['held_out'] else set()
        for stem, ids in concept['images'].items():
            for annotation in instances.loadAnns(ids):
                assert annotation['image_id'] == int(stem)
                assert (annotation['color'], annotation['category_id']) == (color, s + 1)
    assert bool(held_out) == (split == 'val')


def test_episodes_ask_for_what_their_supports_show(root):
    content = json.loads((root / 'fewshot/val.json').read_text())
    instances = COCO(root / 'annotations/instances_val.json')
    assert content['episodes']
    for episode in content['episodes']:
        concept = content['concepts'][episode['name']]
        assert (episode['class_id'], episode['held_out']) == (
            concept['class_id'],
            concept['held_out'],
        )
        stems = [episode['query'], *episode['supports']]
        assert len(set(stems)) == 6 and set(stems) <= set(concept['images'])
        color = episode['name'].split()[0]
        kinds = {
            a['category_id']
            for a in instances.imgToAnns[int(episode['query'])]
            if a['color'] == color
        }
        assert episode['same_colour_distractor'] == (len(kinds) > 1)
